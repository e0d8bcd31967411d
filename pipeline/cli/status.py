"""`drawdown status`: the account table of the newest build, judged by the clock."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import duckdb

from pipeline.cli.terminal import (
    cell,
    console,
    fleet_words,
    paragraph,
    print_table,
    sentence,
    write_json,
)
from pipeline.lake.lake_of_build import is_in_lake
from pipeline.models.status_at import status_at
from pipeline.schema.severities import LEVELS, RUN_FAILED, SQL_URGENCY
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.support.last_run import LastRun, read_last_run
from pipeline.support.wording import amount, duration, instant, whole_days
from pipeline.warehouse.reader import reading

_COLUMNS = """account_id, vendor, team, balance_amount, unit_code, observed_at_utc, age_seconds, reading_state,
    stale_after_seconds, expected_balance_amount, burn_7d_amount, burn_28d_amount, method, auto_topup_model,
    runway_days, runway_without_topups_days, runway_p50_date, resets_at_utc, quota_amount,
    depleted_before_reset_probability, severity, reason, topup_amount, topup_gross_amount,
    order_by_date, topup_advice, evidence_level, reporting_balance_amount, reporting_unit_code, fx_rate_date,
    has_old_rate, fx_source"""
_FLEET = """
SELECT reporting_unit_code, account_count, converted_account_count, reporting_balance_amount,
    reporting_burn_28d_amount, burn_account_count, unconverted_balances, oldest_fx_rate_date, old_rate_account_count
FROM marts.fleet_status
"""
_BUILD = "SELECT item, value FROM marts.build_info WHERE item IN ('as_of_utc', 'built_at_utc')"
_WIDEST = 100
"""Wider rows are hard to follow."""


@dataclass(frozen=True, slots=True)
class Status:
    """The account table at an instant, and the build that it is from."""

    accounts: list[dict[str, Any]]
    as_of: datetime
    """The instant that the build describes."""
    fleet: dict[str, Any] | None = None
    """Row of marts.fleet_status."""
    built_at: datetime | None = None
    """When the build was made."""
    read_at: datetime | None = None
    """The instant by which ages are judged."""
    last_run: LastRun | None = None
    """Result of the last run; None if unknown."""


def read_status(home: Home, at: datetime | None = None) -> Status:
    """Read the newest build and judge it by the clock, or by the instant `at`.

    In a lake, the build that was the newest at that instant is read. Raises DrawdownError if there is no build, or none
    that this version can read.
    """
    now = at or datetime.now(UTC)
    last_run = read_last_run(home)
    if last_run is not None and not last_run.is_ok and not home.current.exists():
        raise DrawdownError(f"nothing is published yet. {failed_words(last_run)}")
    with contextlib.ExitStack() as stack:
        path = home.current
        if at is not None and is_in_lake(path):
            from pipeline.lake.past_builds import build_as_of
            from pipeline.schema.tables import published

            path = stack.enter_context(build_as_of(home, at, published()))
        connection = stack.enter_context(reading(path))
        accounts = _rows(
            connection,
            f"SELECT {_COLUMNS} FROM ({status_at(now)}) ORDER BY {SQL_URGENCY}, runway_days NULLS LAST, account_id",
        )
        fleet = _rows(connection, _FLEET)
        build = dict(connection.execute(_BUILD).fetchall())
    built = build.get("built_at_utc")
    return Status(
        accounts,
        datetime.fromisoformat(build["as_of_utc"]),
        fleet[0] if fleet else None,
        datetime.fromisoformat(built) if built else None,
        now,
        last_run,
    )


def failed_words(last_run: LastRun) -> str:
    """Sentence that runs fail, since when and why."""
    words = f"The last run failed, {instant(last_run.ended_at_utc)}"
    if last_run.failed_run_count > 1 and last_run.failed_since_utc:
        words += f", the last of {last_run.failed_run_count} in a row since {instant(last_run.failed_since_utc)}"
    return f"{words}: {'; '.join(last_run.problems)}"


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    result = connection.execute(query)
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def print_status(found: Status, *, as_json: bool) -> None:
    """Print the table, a sentence for each account with a problem and one for the fleet, or all columns as JSON.

    In JSON each account also has the times of the build, the instant by which it was judged, and the result of the last
    run.
    """
    read_at = found.read_at or datetime.now(UTC)
    if as_json:
        last = found.last_run
        times = {
            "as_of_utc": found.as_of,
            "built_at_utc": found.built_at,
            "read_at_utc": read_at,
            "last_run_at_utc": last.ended_at_utc if last else None,
            "last_run_is_ok": last.is_ok if last else None,
            "runs_failed_since_utc": last.failed_since_utc if last else None,
            "failed_run_count": last.failed_run_count if last else None,
            "run_problems": list(last.problems) if last else None,
        }
        rows = [account | times for account in found.accounts]
        write_json(list(rows[0]) if rows else [], [list(row.values()) for row in rows])
        return
    screen = console()
    width = min(screen.width, _WIDEST)
    print_table(
        ("account", "balance", "unit", "days", "dry by", "severity", "reading"),
        [_cells(account) for account in found.accounts],
        right=("balance", "days"),
        width=width,
    )
    screen.print()
    sentences = [
        sentence(account["account_id"], _words(account), width)
        for account in found.accounts
        if account["severity"] != "ok" or account["reading_state"] != "fresh"
    ]
    if found.fleet and found.fleet["account_count"]:
        sentences.append(sentence("Fleet", fleet_words(found.fleet), width))
    if sentences:
        screen.print("\n".join(sentences), markup=False, soft_wrap=True)
    if found.last_run is not None and not found.last_run.is_ok:
        words = f"{failed_words(found.last_run)}. This is the last build."
        screen.print(paragraph(words, width), markup=False, soft_wrap=True, style="bold red")
    age = (read_at - found.as_of).total_seconds()
    details = " Details: drawdown explain ACCOUNT" if found.accounts else ""
    screen.print(f"As of {instant(found.as_of)}, {duration(age)} ago.{details}", style="dim")


def _cells(account: dict[str, Any]) -> tuple[str, ...]:
    return (
        account["account_id"],
        "" if account["balance_amount"] is None else amount(account["balance_amount"]),
        account["unit_code"],
        "" if account["runway_days"] is None else whole_days(account["runway_days"]),
        cell(account["runway_p50_date"]),
        account["severity"],
        account["reading_state"],
    )


def _words(account: dict[str, Any]) -> str:
    """Reason for the severity, and the order to place, if any."""
    reason: str = account["reason"]
    return f"{reason} {account['topup_advice']}" if account["order_by_date"] else reason


STALE: Final = "stale"
"""Values of `--fail-on` in addition to the severities."""


def is_reached(found: Status, fail_on: list[str]) -> bool:
    """Whether an account is at least as urgent as one of the severities, or its reading is not fresh.

    `unknown` and `ok` only match themselves; `stale`, and `unknown` too, match every account without a fresh reading;
    `run_failed` concerns no account: it matches if the last run failed.
    """
    wanted = set(fail_on)
    if RUN_FAILED in wanted and found.last_run is not None and not found.last_run.is_ok:
        return True
    lowest = min((LEVELS.index(each) for each in wanted if each in LEVELS), default=None)
    if lowest is not None:
        wanted |= set(LEVELS[lowest:])
    if wanted & {STALE, "unknown"} and any(account["reading_state"] != "fresh" for account in found.accounts):
        return True
    return any(account["severity"] in wanted for account in found.accounts)
