"""Monthly budgets of accounts, teams and the fleet."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.settings.table import Requirement, SettingsTable, mistake
from pipeline.settings.values import NotNegative, Unit, exact_text, fits

FROM_EVER: Final = "1970-01-01"
"""The month of a budget that has no first month: it precedes all others."""


class MonthlyBudget(SettingsTable):
    """Budget of each month from a month on."""

    must_be: ClassVar[str] = 'must be a table, such as { from = 2026-06-01, amount = "500", unit = "EUR" }'
    missing: ClassVar[str] = "a budget has from and amount, and may have unit"

    from_date: Annotated[
        date,
        # Months are compared whole, so a budget begins with one. No account existed before 2000.
        fits(lambda day: day.day == 1 and day.year >= 2000),
        Requirement("must be the first day of a month without quotes, such as 2026-06-01, not before 2000"),
    ] = Field(validation_alias="from")
    amount: NotNegative
    unit: Unit | None = None
    """None: the account's unit, or for a team or the fleet the reporting currency."""


def _by_month(budgets: tuple[MonthlyBudget, ...]) -> tuple[MonthlyBudget, ...]:
    months: set[date] = set()
    for number, budget in enumerate(budgets, 1):
        if budget.from_date in months:
            raise mistake(f"budget {number}: from: a second budget from {budget.from_date} on")
        months.add(budget.from_date)
    return tuple(sorted(budgets, key=lambda budget: budget.from_date))


class BudgetSettings(SettingsTable):
    """Settings of everything that can have a budget."""

    monthly_budget_amount: NotNegative | None = None
    monthly_budget_unit: Unit | None = None
    """None: the account's unit, or for a team or the fleet the reporting currency."""
    monthly_budgets: Annotated[
        tuple[MonthlyBudget, ...],
        Field(min_length=1, strict=False),
        AfterValidator(_by_month),
        Requirement('must be a list of budgets, such as [{ from = 2026-06-01, amount = "500" }]'),
    ] = ()
    """By month; before the first of them `monthly_budget_amount` applies, if it is set."""

    @model_validator(mode="after")
    def _unit_has_its_amount(self) -> Self:
        if self.monthly_budget_unit is not None and self.monthly_budget_amount is None:
            raise mistake("monthly_budget_amount: is missing; monthly_budget_unit is the unit of this amount")
        return self

    def budget_units(self) -> dict[str, str | None]:
        """Unit of each budget, by its key for a message; None where it is the usual one."""
        single = {} if self.monthly_budget_amount is None else {"monthly_budget_unit": self.monthly_budget_unit}
        listed = {
            f"monthly_budgets: budget {place}: unit": each.unit for place, each in enumerate(self.monthly_budgets, 1)
        }
        return single | listed

    def budget_records(self) -> list[dict[str, Any]]:
        """The budgets as landed with each run: from_date, budget_amount and unit_code as texts, oldest first."""
        single = [] if self.monthly_budget_amount is None else [
            {
                "from_date": FROM_EVER,
                "budget_amount": exact_text(self.monthly_budget_amount),
                "unit_code": self.monthly_budget_unit,
            }
        ]  # fmt: skip
        return single + [
            {
                "from_date": each.from_date.isoformat(),
                "budget_amount": exact_text(each.amount),
                "unit_code": each.unit,
            }
            for each in self.monthly_budgets
        ]


class TeamSettings(BudgetSettings):
    """Settings of a team."""

    must_be: ClassVar[str] = "must be a table: [teams.NAME]"
