"""`drawdown status`: the account table out of the newest build."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from pipeline.cli.terminal import age_words, console, fleet_words, sentence, status_table, write_json
from pipeline.home import Home
from pipeline.reader import reading
from pipeline.schema.severities import LEVELS, SQL_URGENCY

_QUERY = f"""
SELECT account_id, vendor, team, balance_amount, unit_code, observed_at_utc, reading_state, burn_7d_amount,
    burn_28d_amount, method, runway_days, runway_p50_date, severity, reason, topup_amount, topup_gross_amount,
    order_by_date, topup_advice, evidence_level, reporting_balance_amount,
    reporting_unit_code, fx_rate_date, fx_source
FROM marts.account_status
ORDER BY {SQL_URGENCY}, runway_days NULLS LAST, account_id
"""
_FLEET = """
SELECT reporting_unit_code, account_count, converted_account_count, reporting_balance_amount,
    reporting_burn_28d_amount, unconverted_balances, oldest_fx_rate_date
FROM marts.fleet_status
"""
_AS_OF = "SELECT value FROM marts.build_info WHERE item = 'as_of_utc'"
_WIDEST = 100
"""Beyond this the eye loses the line between a name and what stands at the other end."""


@dataclass(frozen=True, slots=True)
class Status:
    """The account table and the instant that it speaks of."""

    accounts: list[dict[str, Any]]
    as_of: datetime
    fleet: dict[str, Any] | None = None
    """The row of marts.fleet_status."""


def read_status(home: Home) -> Status:
    """Read the newest build; DrawdownError where there is none, or none that this version can read."""
    with reading(home.current) as connection:
        accounts = _rows(connection, _QUERY)
        fleet = _rows(connection, _FLEET)
        ((text,),) = connection.execute(_AS_OF).fetchall()
    return Status(accounts, datetime.fromisoformat(text), fleet[0] if fleet else None)


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    result = connection.execute(query)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def print_status(found: Status, *, as_json: bool) -> None:
    """Print the table, a sentence for each account that is not fine and one for the fleet, or all columns as JSON."""
    if as_json:
        names = list(found.accounts[0]) if found.accounts else []
        write_json(names, [list(account.values()) for account in found.accounts])
        return
    screen = console()
    width = min(screen.width, _WIDEST)
    from rich.text import Text

    # Printed at once: a call for each of hundreds of lines takes longer than all else.
    screen.print(Text("\n").join(status_table(found.accounts, width)), soft_wrap=True)
    screen.print()
    sentences = [
        sentence(account["account_id"], _words(account), width)
        for account in found.accounts
        if account["severity"] != "ok"
    ]
    if found.fleet and found.fleet["account_count"]:
        sentences.append(sentence("Fleet", fleet_words(found.fleet), width))
    if sentences:
        screen.print("\n".join(sentences), markup=False, soft_wrap=True)
    age = (datetime.now(UTC) - found.as_of).total_seconds()
    screen.print(f"As of {found.as_of:%Y-%m-%d %H:%M} UTC, {age_words(age)} ago.", style="dim")


def _words(account: dict[str, Any]) -> str:
    """Why an account is as urgent as it is, and what to order where there is something to order."""
    reason: str = account["reason"]
    return f"{reason} {account['topup_advice']}" if account["order_by_date"] else reason


def is_reached(found: Status, fail_on: list[str]) -> bool:
    """Tell whether an account is as urgent as one of the severities, or more.

    `unknown` and `ok` count only as such.
    """
    wanted = set(fail_on)
    lowest = min((LEVELS.index(each) for each in wanted if each in LEVELS), default=None)
    if lowest is not None:
        wanted |= set(LEVELS[lowest:])
    return any(account["severity"] in wanted for account in found.accounts)
