"""The running month of accounts, teams and the fleet as it is expected to end, from the forecast's own sample paths.

A day of the month is complete, and counts as spent; or it is open, and is drawn; or it is before the account's
history, and counts as nothing. Today is open: what has been spent of it is the least that a path may have on it. So is
an earlier day that is not complete yet. If it is also before the first day of the paths, it is drawn from the same
weekday of their first week.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.engine import Paths
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.scoring import quantiles_of
from pipeline.forecasts.exact_sums import ExactSum
from pipeline.forecasts.month_inputs import Budget, RunningMonth
from pipeline.schema.scopes import FLEET_ID, NO_TEAM
from pipeline.schema.units import MONEY_PRECISION, MONEY_SCALE

_MONEY: Final = pl.Decimal(MONEY_PRECISION, MONEY_SCALE)
_LEVELS: Final = {"p10": 0.10, "p50": 0.50, "p90": 0.90}
_DIGITS: Final = 6
"""Significant digits of a quantile. With a thousand paths, the third is already chance."""
_ROUNDING: Final = 1e-9
"""Relative rounding error of a sum of floats, which must not count as having passed a budget."""

SCHEMA: Final[dict[str, pl.DataType]] = {
    "scope": pl.String(),
    "scope_id": pl.String(),
    "spend_month": pl.Date(),
    "issue_date": pl.Date(),
    "spent_amount": _MONEY,
    **{f"{what}_{level}_amount": _MONEY for what in ("rest", "total") for level in _LEVELS},
    "unit_code": pl.String(),
    "reporting_spent_amount": _MONEY,
    "reporting_total_p50_amount": _MONEY,
    "reporting_unit_code": pl.String(),
    "budget_amount": _MONEY,
    "budget_unit_code": pl.String(),
    "budget_spent_amount": _MONEY,
    "over_budget_probability": pl.Float64(),
    "budget_used_up_date": pl.Date(),
    "open_day_count": pl.Int64(),
    "missing_day_count": pl.Int64(),
    "account_count": pl.Int64(),
    "forecast_account_count": pl.Int64(),
    "converted_account_count": pl.Int64(),
}
"""Columns of an issue."""
_CURRENT: Final = SCHEMA | {"budget_fx_rate_date": pl.Date()}


@dataclass(slots=True)
class _Total:
    """A month of an account, a team or the fleet, in one unit."""

    spent: Decimal
    known: Floats
    """(days,): spend of the complete days."""
    paths: Floats | None = None
    """(paths, days): drawn spend of the open days, 0 on the others; None where nothing is forecast."""

    def sums(self) -> Floats:
        """(paths, days): spend from the first of the month to the end of each day."""
        assert self.paths is not None  # noqa: S101 - the callers ask
        sums: Floats = np.cumsum(self.known + self.paths, axis=1)
        return sums


@dataclass(slots=True)
class _Group:
    """A team or the fleet, in the reporting currency."""

    unit_code: str
    spent: Decimal = Decimal(0)
    known: ExactSum = field(default_factory=ExactSum)
    """(days,): spend of the complete days."""
    paths: ExactSum = field(default_factory=ExactSum)
    """(paths, days): drawn spend of the open days of the accounts that are forecast."""
    accounts: int = 0
    forecast: int = 0
    converted: int = 0
    open_days: int = 0
    missing_days: int = 0

    def total(self, length: int) -> _Total:
        """The month of the group, of `length` days."""
        known = np.zeros(length) if self.known.is_empty else self.known.total()
        return _Total(self.spent, known, None if self.paths.is_empty else self.paths.total())

    def merge(self, other: _Group) -> None:
        """Add other accounts of the group."""
        self.spent = _sum(self.spent, other.spent)
        self.known.merge(other.known)
        self.paths.merge(other.paths)
        for name in ("accounts", "forecast", "converted", "open_days", "missing_days"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class _KnownDays:
    """`RunningMonth.days` as arrays, which are faster than a frame for each account."""

    spans: Mapping[str, slice]
    """Rows of each account."""
    places: NDArray[np.int64]
    """Day of the month, from 0."""
    amounts: Floats
    reporting: Floats
    """0 where an amount cannot be converted."""
    in_budget: Floats
    """In the currency of a budget, if that is a third one; 0 where an amount cannot be converted."""
    is_complete: NDArray[np.bool_]

    @classmethod
    def of(cls, days: pl.DataFrame) -> _KnownDays:
        spans: dict[str, slice] = {}
        start = 0
        for account_id, count in days.group_by("account_id", maintain_order=True).len().iter_rows():
            spans[account_id] = slice(start, start + count)
            start += count
        return cls(
            spans=spans,
            places=days["spend_date"].dt.day().cast(pl.Int64).to_numpy() - 1,
            amounts=days["spend_amount"].to_numpy(),
            reporting=days["reporting_amount"].fill_null(0.0).to_numpy(),
            in_budget=days["budget_amount"].fill_null(0.0).to_numpy(),
            is_complete=days["is_complete"].to_numpy(),
        )


@dataclass(slots=True)
class MonthOutlooks:
    """Collects the sample paths of accounts, in any order, and yields a row for each account, team, and the fleet."""

    month: RunningMonth
    _rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    _groups: dict[tuple[str, str], _Group] = field(default_factory=dict)
    _facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    _days: _KnownDays = field(init=False)

    def __post_init__(self) -> None:
        self._days = _KnownDays.of(self.month.days)
        for fact in self.month.accounts.to_dicts():
            account_id = fact["account_id"]
            self._facts[account_id] = fact
            known, _, is_open, missing = self._calendar(account_id)
            self._rows[account_id] = self._account_row(fact, _Total(fact["spent_amount"], known), is_open, missing)
            for group in self._groups_of(fact):
                self._join(group, fact, is_open, missing)

    @property
    def _first(self) -> date:
        return self.month.today.replace(day=1)

    @property
    def _length(self) -> int:
        return monthrange(self.month.today.year, self.month.today.month)[1]

    def _groups_of(self, fact: Mapping[str, Any]) -> list[_Group]:
        if not fact["is_counted"]:
            return []
        keys = (("team", fact["team"] or NO_TEAM), ("fleet", FLEET_ID))
        return [self._groups.setdefault(key, _Group(fact["reporting_unit_code"])) for key in keys]

    def _join(self, group: _Group, fact: Mapping[str, Any], is_open: NDArray[np.bool_], missing: int) -> None:
        """Add what has been spent. Accounts that cannot be converted are counted only."""
        group.accounts += 1
        group.open_days += self._open_so_far(is_open)
        group.missing_days += missing
        spent = self._reporting_spent(fact)
        if spent is None:
            return
        group.converted += 1
        group.spent = _sum(group.spent, spent, fact["other_reporting_amount"])
        known = self._known_days(fact["account_id"], self._days.reporting)
        known[0] += float(fact["other_reporting_amount"])
        group.known.add(known)

    def _reporting_spent(self, fact: Mapping[str, Any]) -> Decimal | None:
        if fact["is_unspent"] and fact["rate"] is not None:
            return Decimal(0)
        found: Decimal | None = fact["reporting_spent_amount"]
        return found

    def _open_so_far(self, is_open: NDArray[np.bool_]) -> int:
        return int(is_open[: self.month.today.day].sum())

    def _calendar(self, account_id: str) -> tuple[Floats, Floats, NDArray[np.bool_], int]:
        """Return spend of complete days, least spend of open days, which days are open, and how many are missing."""
        known, least = np.zeros(self._length), np.full(self._length, -np.inf)
        is_complete = np.zeros(self._length, dtype=bool)
        own = self._days.spans.get(account_id, slice(0))
        places, amounts, whole = self._days.places[own], self._days.amounts[own], self._days.is_complete[own]
        known[places[whole]] = amounts[whole]
        least[places[~whole]] = amounts[~whole]
        is_complete[places[whole]] = True
        # Nothing is known of the days before the account's history, of which no day after today is one.
        begun = self._facts[account_id]["first_date"]
        first_place = self.month.today.day - 1 if begun is None else max((begun - self._first).days, 0)
        first_place = min(first_place, self.month.today.day - 1)
        is_open = ~is_complete
        is_open[:first_place] = False
        return known, least, is_open, first_place

    def _known_days(self, account_id: str, amounts: Floats) -> Floats:
        """Return (days,): spend of an account's complete days; `amounts` are those of all accounts' known days."""
        known = np.zeros(self._length)
        own = self._days.spans.get(account_id, slice(0))
        whole = self._days.is_complete[own]
        known[self._days.places[own][whole]] = amounts[own][whole]
        return known

    def add(self, paths: Paths) -> None:
        """Add the paths of an account. Those of an account that is not configured, or was added before, are ignored."""
        fact = self._facts.get(paths.account_id)
        if fact is None or self._rows[paths.account_id]["forecast_account_count"]:
            return
        known, least, is_open, missing = self._calendar(paths.account_id)
        places = np.array([(self._first + timedelta(days=day) - paths.as_of).days - 1 for day in range(self._length)])
        # A day before the paths is drawn as the same weekday of their first week.
        places = np.where(places < 0, places % 7, places)
        drawn = np.where(is_open, np.maximum(paths.amounts[:, places], least), 0.0)
        total = _Total(fact["spent_amount"], known, drawn)
        self._rows[paths.account_id] = self._account_row(fact, total, is_open, missing)
        for group in self._groups_of(fact):
            if self._reporting_spent(fact) is not None and fact["rate"] is not None:
                group.forecast += 1
                group.paths.add(drawn * fact["rate"])

    def merge(self, other: MonthOutlooks) -> None:
        """Add what was collected of other accounts, of the same month."""
        self._rows |= other._rows
        for key, group in other._groups.items():
            self._groups.setdefault(key, _Group(group.unit_code)).merge(group)

    def frame(self) -> pl.DataFrame:
        """Return the rows, as SCHEMA with budget_fx_rate_date, by scope and scope_id."""
        rows = [*self._rows.values(), *self._group_rows()]
        return pl.DataFrame(rows, schema=_CURRENT, orient="row").sort("scope", "scope_id")

    def _account_row(
        self, fact: Mapping[str, Any], total: _Total, is_open: NDArray[np.bool_], missing: int
    ) -> dict[str, Any]:
        account_id, unit, reporting = fact["account_id"], fact["unit_code"], fact["reporting_unit_code"]
        spent = self._reporting_spent(fact)
        budget = self.month.budgets.get(("account", account_id))
        row = self._row("account", account_id, total, unit, reporting)
        if spent is not None:
            row["reporting_spent_amount"] = spent
            if row["rest_p50_amount"] is not None and fact["rate"] is not None:
                row["reporting_total_p50_amount"] = _sum(spent, _money(float(row["rest_p50_amount"]) * fact["rate"]))
        if budget is not None and budget.unit_code == unit:
            row |= self._against(total, budget)
        elif budget is not None and budget.unit_code == reporting and spent is not None:
            converted = _Total(spent, self._known_days(account_id, self._days.reporting))
            if total.paths is not None and fact["rate"] is not None:
                converted.paths = total.paths * fact["rate"]
            row |= self._against(converted, budget)
        elif budget is not None and fact["budget_spent_amount"] is not None:
            converted = _Total(fact["budget_spent_amount"], self._known_days(account_id, self._days.in_budget))
            if total.paths is not None and fact["rate"] is not None:
                converted.paths = total.paths * (fact["rate"] * fact["budget_rate"])
            row |= self._against(converted, budget) | {"budget_fx_rate_date": fact["budget_fx_rate_date"]}
        elif budget is not None:
            row |= {"budget_amount": budget.amount, "budget_unit_code": budget.unit_code}
        return row | {
            "open_day_count": self._open_so_far(is_open),
            "missing_day_count": missing,
            "account_count": 1,
            "forecast_account_count": int(total.paths is not None),
            "converted_account_count": int(spent is not None),
        }

    def _group_rows(self) -> Iterator[dict[str, Any]]:
        for (scope, scope_id), group in self._groups.items():
            unit, total = group.unit_code, group.total(self._length)
            row = self._row(scope, scope_id, total, unit, unit)
            row |= {
                "reporting_spent_amount": total.spent,
                "reporting_total_p50_amount": row["total_p50_amount"],
                "open_day_count": group.open_days,
                "missing_day_count": group.missing_days,
                "account_count": group.accounts,
                "forecast_account_count": group.forecast,
                "converted_account_count": group.converted,
            }
            budget = self.month.budgets.get((scope, scope_id))
            if budget is not None and budget.unit_code == unit:
                row |= self._against(total, budget)
            yield row

    def _row(self, scope: str, scope_id: str, total: _Total, unit: str, reporting: str) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(_CURRENT)
        row |= {
            "scope": scope,
            "scope_id": scope_id,
            "spend_month": self._first,
            "issue_date": self.month.today,
            "spent_amount": total.spent,
            "unit_code": unit,
            "reporting_unit_code": reporting,
        }
        if total.paths is not None:
            quantiles = quantiles_of(total.paths.sum(axis=1), np.array(list(_LEVELS.values())))
            for level, amount in zip(_LEVELS, quantiles, strict=True):
                rest = _money(float(amount))
                row |= {f"rest_{level}_amount": rest, f"total_{level}_amount": _sum(total.spent, rest)}
        return row

    def _against(self, total: _Total, budget: Budget) -> dict[str, Any]:
        """Return the columns that compare a total with a budget in its unit."""
        compared = {
            "budget_amount": budget.amount,
            "budget_unit_code": budget.unit_code,
            "budget_spent_amount": total.spent,
        }
        limit = float(budget.amount) * (1 + _ROUNDING)
        if total.paths is not None:
            share = (total.sums() > limit).mean(axis=0)
            passed = np.flatnonzero(share >= 0.5)
            compared["over_budget_probability"] = float(share[-1])
            if len(passed):
                compared["budget_used_up_date"] = self._first + timedelta(days=int(passed[0]))
        elif total.spent > budget.amount:
            compared["over_budget_probability"] = 1.0
            if len(passed := np.flatnonzero(np.cumsum(total.known) > limit)):
                compared["budget_used_up_date"] = self._first + timedelta(days=int(passed[0]))
        return compared


def _money(amount: float) -> Decimal:
    """A quantile as money, with the digits that mean something."""
    with localcontext(prec=2 * MONEY_PRECISION):
        return Decimal(f"{amount:.{_DIGITS}g}").quantize(Decimal(1).scaleb(-MONEY_SCALE))


def _sum(*amounts: Decimal) -> Decimal:
    with localcontext(prec=2 * MONEY_PRECISION):
        return sum(amounts, Decimal(0))
