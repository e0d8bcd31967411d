"""The alert rule `budget`: months of accounts, teams and the fleet that are likely to exceed their budget, or did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import duckdb

from pipeline.alerts.state_machine import Evidence, RuleResult
from pipeline.schema.scopes import alert_id
from pipeline.schema.severities import BUDGET, LEVELS
from pipeline.settings.alert_policy import Policy, rank
from pipeline.support.wording import amount, chance

_MARGIN: Final = 0.8
"""An alert improves only when the probability is below this part of the limit."""

_QUERY: Final = """
    SELECT outlook.*, build.as_of_utc, status.reading_state, status.observed_at_utc
    FROM forecasts.current_month_outlook AS outlook
    CROSS JOIN staging.build AS build
    LEFT JOIN marts.account_status AS status
        ON outlook.scope = 'account' AND outlook.scope_id = status.account_id
    WHERE outlook.budget_amount IS NOT NULL
    ORDER BY outlook.scope, outlook.scope_id
"""


def budget_findings(connection: duckdb.DuckDBPyConnection, policy: Policy) -> Iterator[RuleResult]:
    """Yield a result for each running month that has a budget; none if the rule is off."""
    severity = policy.severity(BUDGET)
    if severity is None:
        return
    result = connection.execute(_QUERY)
    names = [column[0] for column in result.description or []]
    for row in result.fetchall():
        yield _finding(dict(zip(names, row, strict=True)), severity, float(policy.budget_probability))


def _finding(row: Mapping[str, Any], severity: str, limit: float) -> RuleResult:
    probability: float | None = row["over_budget_probability"]
    spent: Decimal | None = row["budget_spent_amount"]
    is_spent = spent is not None and spent > row["budget_amount"]
    found = _worst(severity, probability, limit, is_spent=is_spent)
    held = max(found, _worst(severity, probability, limit * _MARGIN, is_spent=is_spent), key=rank)
    is_account = row["scope"] == "account"
    read_at: datetime | None = row["observed_at_utc"] if is_account else row["as_of_utc"]
    return RuleResult(
        account_id=alert_id(row["scope"], row["scope_id"]),
        rule=BUDGET,
        is_known=probability is not None or is_spent,
        # A team's month is known by what its accounts spent, whichever of them was read last.
        is_fresh=not is_account or row["reading_state"] == "fresh",
        severity=found,
        held_severity=held,
        read_at=read_at,
        message=_words(row, spent, probability),
        evidence=Evidence(unit_code=row["unit_code"], observed_at_utc=read_at),
        month=f"{row['spend_month']:%Y-%m}",
    )


def _worst(severity: str, probability: float | None, limit: float, *, is_spent: bool) -> str | None:
    if is_spent:
        # A budget that is spent is one level worse than one that will probably be, so it has a message of its own.
        return LEVELS[min(LEVELS.index(severity) + 1, len(LEVELS) - 1)]
    return severity if probability is not None and probability >= limit else None


def _words(row: Mapping[str, Any], spent: Decimal | None, probability: float | None) -> str:
    unit = row["budget_unit_code"]
    budget = f"the budget of {amount(row['budget_amount'], unit)} for {row['spend_month']:%B %Y}"
    if spent is None:
        return f"{budget[0].upper()}{budget[1:]} cannot be compared with spend in {row['unit_code']}."
    so_far = f"{amount(spent, unit)} was spent on its complete days"
    expected = _expected(row)
    if spent > row["budget_amount"]:
        over = amount(spent - row["budget_amount"], unit)
        return f"{so_far}, {over} more than {budget}{f'; expected by its end: {expected}' if expected else ''}."
    if probability is None:
        return f"{so_far}, of {budget}."
    used_up = row["budget_used_up_date"]
    when = f" It is likely to be used up by {used_up}." if used_up else ""
    return (
        f"The chance of exceeding {budget} is {chance(probability)}: {so_far}"
        f"{f', and {expected} is expected by its end' if expected else ''}.{when}"
    )


def _expected(row: Mapping[str, Any]) -> str | None:
    """The month's end in the unit of the budget."""
    unit = row["budget_unit_code"]
    if unit == row["unit_code"]:
        if row["total_p50_amount"] is None:
            return None
        low, high = amount(row["total_p10_amount"]), amount(row["total_p90_amount"])
        return f"{amount(row['total_p50_amount'], unit)} (80 %: {low} to {high})"
    if unit != row["reporting_unit_code"] or row["reporting_total_p50_amount"] is None:
        return None
    return amount(row["reporting_total_p50_amount"], unit)
