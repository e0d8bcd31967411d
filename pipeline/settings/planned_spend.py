"""Spend that an account's owner plans for some days: `[[accounts.ID.planned]]` of accounts.toml."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from pipeline.settings.table import Requirement, SettingsTable, mistake
from pipeline.settings.values import Amount, NotNegative, Text

MOST_MULTIPLIER: Final = 1000
"""Beyond it a forecast of some days is no basis for the plan, and an amount says more."""

_MOST_DAYS: Final = 366
"""A year: what lasts longer is usual spend, which the forecast learns by itself."""

_EXAMPLE: Final = '{ from = 2026-12-01, to = 2026-12-14, amount = "1200" }'

_Day = Annotated[
    date,
    # No account is older, as for the prices of credits.
    Field(ge=date(2000, 1, 1)),
    Requirement("must be a day without quotes, such as 2026-12-01, not before 2000"),
]
_Multiplier = Annotated[
    Amount,
    Field(ge=0, le=MOST_MULTIPLIER),
    Requirement(f'must be between 0 and {MOST_MULTIPLIER} in quotes, such as "1.5" for half as much again'),
]


class PlannedSpend(SettingsTable):
    """Planned spend of some days, in addition to the forecast or as a multiple of it."""

    must_be: ClassVar[str] = f"must be a table, such as {_EXAMPLE}"
    missing: ClassVar[str] = "a plan has from, to, and amount or multiplier"

    from_date: _Day = Field(validation_alias="from")
    to_date: _Day = Field(validation_alias="to")
    """Inclusive."""
    amount: NotNegative | None = None
    """In total, in the unit of the account, spread evenly over the days."""
    multiplier: _Multiplier | None = None
    """Times the forecast of each of the days."""
    note: Text | None = None

    @model_validator(mode="after")
    def _is_one_plan(self) -> Self:
        if self.to_date < self.from_date:
            raise mistake("to: must not be before from")
        if (self.to_date - self.from_date).days >= _MOST_DAYS:
            raise mistake(f"to: is too late; a plan has at most {_MOST_DAYS} days")
        if self.amount is None and self.multiplier is None:
            raise mistake(f"amount: is missing; {self.missing}")
        if self.amount is not None and self.multiplier is not None:
            raise mistake("multiplier: must not be given together with amount; make two plans for the same days")
        return self


Plans = Annotated[
    tuple[PlannedSpend, ...],
    Field(strict=False),
    Requirement("must be a list of plans: [[accounts.ID.planned]] with from, to, and amount or multiplier"),
]
