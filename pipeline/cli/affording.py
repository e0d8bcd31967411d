"""`drawdown afford`: whether an account can afford a campaign, from the newest build alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any, Final

import duckdb

from pipeline.cli.campaign_units import Priced, in_account_unit
from pipeline.cli.terminal import paragraph, write_json_object
from pipeline.forecasts.account_forecasts import account_paths, quota_of, rule_of, terms_of, topup_scale
from pipeline.forecasts.engine import InputError
from pipeline.forecasts.forecast_inputs import read_inputs
from pipeline.forecasts.topup import TopUpPlan
from pipeline.forecasts.topup.campaign import Affordability, Answer, Campaign, afford
from pipeline.forecasts.topup.sentence import order_text
from pipeline.schema.exact_amounts import exact_money
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home
from pipeline.support.wording import amount, chance, exact_percent
from pipeline.warehouse.reader import reading

EXIT_CODES: Final[Mapping[Answer, int]] = {"yes": 0, "after_topup": 3, "no": 4}
"""Exit codes of the answers; 1 and 2 are those of errors."""

_WIDTH: Final = 100


def judge(
    home: Home,
    account_id: str,
    text: str,
    *,
    unit: str | None,
    first: date,
    last: date,
    risk: float | None,
    today: date,
) -> tuple[Affordability, dict[str, Any], Priced]:
    """Judge a campaign of an amount, given as text, from `first` to `last`, by what is known `today`.

    Returns the answer, the account's row of core.accounts, and the amount in its unit. Raises UsageError for an
    unusable request, DrawdownError if nothing is published or the account has no forecast.
    """
    exact = exact_money(text)
    if exact is None or Decimal(exact) < 0:
        raise UsageError(f"AMOUNT {text!r} is not an amount; write it as 1250 or 1250.50")
    with reading(home.current) as connection:
        account = _account(connection, account_id)
        priced = in_account_unit(connection, account, Decimal(exact), unit)
        found = account_paths(read_inputs(connection, _last_day(connection)), account_id)
    if found is None:
        raise DrawdownError(
            f"account {account_id} has no forecast: it needs a balance of the last 30 days and a day of spend; "
            f"`drawdown explain {account_id}` says what is known"
        )
    paths, fact = found
    try:
        answer = afford(
            paths,
            Campaign(amount=priced.amount, from_date=first, to_date=last),
            balance=fact["day_start_amount"],
            terms=terms_of(fact, risk),
            rule=rule_of(fact),
            issue_date=max(today, paths.as_of),
            unit_code=fact["unit_code"],
            scale=topup_scale(fact["unit_code"]),
            quota=quota_of(fact),
        )
    except InputError as problem:
        raise UsageError(str(problem)) from None
    return answer, account, priced


def _account(connection: duckdb.DuckDBPyConnection, account_id: str) -> dict[str, Any]:
    found = connection.execute("SELECT * FROM core.accounts WHERE account_id = ?", [account_id])
    names = [column[0] for column in found.description or []]
    rows = found.fetchall()
    if not rows:
        known = connection.execute("SELECT account_id FROM core.accounts ORDER BY account_id").fetchall()
        listed = ", ".join(name for (name,) in known) or "none"
        raise UsageError(f"the newest build has no account {account_id[:63]!r}; known accounts: {listed}")
    return dict(zip(names, rows[0], strict=True))


def _last_day(connection: duckdb.DuckDBPyConnection) -> date:
    """The last whole day before the newest run of the build."""
    [(day,)] = connection.execute(
        "SELECT CAST(CAST(value AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS DATE) FROM marts.build_info "
        "WHERE item = 'as_of_utc'"
    ).fetchall()
    assert isinstance(day, date)  # noqa: S101 - the column's type says so
    return day - timedelta(days=1)


def show(found: Affordability, account: Mapping[str, Any], priced: Priced, *, as_json: bool) -> None:
    """Print the answer: as a paragraph, or as one JSON object for scripts that launch campaigns."""
    if as_json:
        write_json_object(_record(found, account))
    else:
        print(paragraph(" ".join(_sentences(found, account["unit_code"], priced)), _WIDTH))


def _sentences(found: Affordability, unit_code: str, priced: Priced) -> list[str]:
    campaign = found.campaign
    days = f"on {campaign.from_date}" if campaign.from_date == campaign.to_date else (
        f"from {campaign.from_date} to {campaign.to_date}"
    )  # fmt: skip
    opening = {
        "yes": "Yes.",
        "after_topup": "Only after a top-up.",
        "no": "No.",
    }[found.answer]
    said = [
        opening,
        f"With {amount(campaign.amount, unit_code)} {days} the chance of running dry by {campaign.to_date} is "
        f"{chance(found.with_probability)}, without it {chance(found.without_probability)}; accepted is "
        f"{exact_percent(found.accepted_probability)}.",
        priced.how,
    ]
    if found.has_auto_topups:
        said.append("The vendor's automatic top-ups are included.")
    elif found.resets_at_utc is not None:
        said.append(f"The balance is set back on {found.resets_at_utc.astimezone(UTC):%Y-%m-%d}, which is included.")
    elif found.topup is not None:
        said.append(_top_up(found.topup, found.answer))
    elif found.answer == "no":
        said.append("No top-up that is ordered today arrives before it ends.")
    return [each for each in said if each]


def _top_up(plan: TopUpPlan, answer: Answer) -> str:
    ordered, chances = order_text(plan), chance(plan.with_topup_probability)
    if answer == "after_topup":
        return f"Order {ordered} by {plan.order_by_date}: the chance is then {chances}."
    return f"With {ordered} ordered today, which arrives on {plan.arrival_date}, it is still {chances}."


def _record(found: Affordability, account: Mapping[str, Any]) -> dict[str, Any]:
    topup = asdict(found.topup) if found.topup else {}
    wanted = ("topup_amount", "topup_gross_amount", "order_by_date", "arrival_date", "with_topup_probability")
    return {
        "answer": found.answer,
        "account_id": account["account_id"],
        "amount": found.campaign.amount,
        "unit_code": account["unit_code"],
        "from_date": found.campaign.from_date,
        "to_date": found.campaign.to_date,
        "accepted_probability": found.accepted_probability,
        "with_probability": found.with_probability,
        "without_probability": found.without_probability,
        "has_auto_topups": found.has_auto_topups,
        **{name: topup.get(name) for name in wanted},
    }
