"""`drawdown status --budgets`: the running month of the fleet, of teams, and of accounts with a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pipeline.cli.terminal import cell, console, paragraph, print_table, write_json
from pipeline.schema.scopes import FLEET_ID
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.support.wording import amount, chance, count
from pipeline.warehouse.reader import reading

_WIDTH: Final = 100

_QUERY: Final = """
    SELECT scope, scope_id, spend_month, spent_amount, total_p10_amount, total_p50_amount, total_p90_amount, unit_code,
        reporting_spent_amount, reporting_total_p50_amount, reporting_unit_code, budget_amount, budget_unit_code,
        budget_spent_amount, over_budget_probability, budget_used_up_date, open_day_count, missing_day_count,
        account_count, forecast_account_count, converted_account_count
    FROM marts.month_outlook
    WHERE month_state = 'running' AND (scope <> 'account' OR budget_amount IS NOT NULL)
    ORDER BY list_position(['fleet', 'team', 'account'], scope), scope_id, unit_code
"""


def read_month(home: Home) -> list[dict[str, Any]]:
    """Rows of marts.month_outlook for the running month. Raises DrawdownError if nothing is published."""
    with reading(home.current) as connection:
        result = connection.execute(_QUERY)
        names = [column[0] for column in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    if not rows:
        raise DrawdownError("the newest build has no account; `drawdown run` refreshes it")
    return rows


def show_month(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print the month as a table with a sentence for what it leaves out, or all columns as JSON."""
    if as_json:
        write_json(list(rows[0]), [list(row.values()) for row in rows])
        return
    screen = console()
    print_table(
        ("of", "spent", "month's end", "80 % range", "unit", "budget", "over budget", "used up"),
        [_cells(row) for row in rows],
        right=("spent", "month's end", "80 % range", "budget", "over budget"),
        width=min(screen.width, _WIDTH),
    )
    lines = [_left_out(rows[0]), "" if any(row["budget_amount"] is not None for row in rows) else _NO_BUDGET]
    screen.print()
    for line in filter(None, lines):
        screen.print(paragraph(line, min(screen.width, _WIDTH)), markup=False, soft_wrap=True)


_NO_BUDGET: Final = (
    "No budget is set: monthly_budget_amount of an account, of a [teams.NAME] table or at the top of accounts.toml "
    "sets one."
)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    name = "fleet" if row["scope_id"] == FLEET_ID else row["scope_id"]
    has_forecast = row["total_p50_amount"] is not None
    budget = row["budget_amount"]
    unit = row["budget_unit_code"]
    return (
        f"team {name}" if row["scope"] == "team" else name,
        amount(row["spent_amount"]),
        amount(row["total_p50_amount"]) if has_forecast else "",
        f"{amount(row['total_p10_amount'])} to {amount(row['total_p90_amount'])}" if has_forecast else "",
        row["unit_code"],
        "" if budget is None else amount(budget, unit if unit != row["unit_code"] else ""),
        "" if row["over_budget_probability"] is None else chance(row["over_budget_probability"]),
        cell(row["budget_used_up_date"]),
    )


def _left_out(fleet: dict[str, Any]) -> str:
    """What the fleet's total does not contain."""
    of = fleet["account_count"]
    parts = []
    if unconverted := of - fleet["converted_account_count"]:
        parts.append(f"{count(unconverted, 'account')} cannot be converted to {fleet['unit_code']}")
    if unforecast := fleet["converted_account_count"] - fleet["forecast_account_count"]:
        parts.append(f"{count(unforecast, 'account')} without a forecast counted as spent so far")
    whole = f"The fleet's month is that of {count(of, 'account')}"
    left_out = f"; {'; '.join(parts)}" if parts else ""
    return f"{whole}{left_out}. Spent is that of complete days; today is in the forecast."
