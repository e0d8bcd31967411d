"""Section about the running month: spent, expected at its end, and the budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipeline.published.report.html_tables import HtmlTable, Spell, table
from pipeline.published.report.report_queries import Row, Snapshot
from pipeline.published.report.words import chance, day, in_unit, money
from pipeline.schema.scopes import FLEET_ID

_COLUMNS: Final[Mapping[str, tuple[str, Spell]]] = {
    "name": ("name", str),
    "scope": ("scope", str),
    "spent_amount": ("spent", money),
    "total_p50_amount": ("month's end", money),
    "total_p10_amount": ("at least, 90 %", money),
    "total_p90_amount": ("at most, 90 %", money),
    "unit_code": ("unit", str),
}
_BUDGET_COLUMNS: Final[Mapping[str, tuple[str, Spell]]] = {
    "budget_amount": ("budget", lambda amount: "" if amount is None else money(amount)),
    "budget_unit_code": ("budget's unit", lambda code: code or ""),
    "over_budget_probability": ("chance of exceeding", lambda share: "" if share is None else chance(share)),
    "budget_used_up_date": ("used up by", lambda used_up: "" if used_up is None else day(used_up)),
}
"""Shown if there is a budget; without one they would be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthSection:
    """Sentences about budgets, and the table behind them."""

    sentences: list[str]
    table: HtmlTable


def running_month(found: Snapshot) -> MonthSection:
    """Summarise the running month; a sentence for each budget that is more likely than not exceeded."""
    rows = found.fleet["month"]
    budgeted = [row for row in rows if row["budget_amount"] is not None]
    over = [row for row in budgeted if (row["over_budget_probability"] or 0.0) >= 0.5]
    sentences = [_sentence(row) for row in over]
    if not budgeted:
        sentences.append("No budget is set; monthly_budget_amount in accounts.toml sets one.")
    elif not over:
        sentences.append("Every budget is more likely kept than exceeded.")
    return MonthSection(
        sentences=sentences,
        table=table(
            "month",
            f"{rows[0]['spend_month']:%B %Y}: spent on complete days, and expected at the month's end" if rows else "",
            rows,
            {**_COLUMNS, **(_BUDGET_COLUMNS if budgeted else {})},
        ),
    )


def _name(row: Row) -> str:
    if row["scope_id"] == FLEET_ID:
        return "The fleet"
    return f"Team {row['scope_id']}" if row["scope"] == "team" else str(row["scope_id"])


def _sentence(row: Row) -> str:
    budget = in_unit(row["budget_amount"], row["budget_unit_code"])
    used_up = f", by {day(row['budget_used_up_date'])} as likely as not" if row["budget_used_up_date"] else ""
    share = row["over_budget_probability"]
    return f"{_name(row)} exceeds its budget of {budget} with a chance of {chance(share)}{used_up}."
