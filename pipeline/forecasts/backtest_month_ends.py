"""Backtested month ends: the rest of a month, forecast on a day of it, against what came.

The spend of a month's earlier days is known when its end is forecast, so the total is as good as the rest.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.backtest_scores import ALL, SpendByDay
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import QUANTILES
from pipeline.forecasts.engine.scoring import is_at_or_above, is_at_or_below, pinball, quantiles_of

LAST_ISSUE_DAY: Final = 28
"""Later days of a month are not scored: some months do not have them, and little is left to forecast."""

_WEEK: Final = 7
_LEVELS: Final = np.array(QUANTILES)
_MEASURES: Final = ("count", "held_80", "held_90", "below", "above")

MONTH_ENDS: Final = {
    "account_id": pl.String,
    "first_issue_day_number": pl.Int64,
    "last_issue_day_number": pl.Int64,
    "forecast_count": pl.Int64,
    "month_count": pl.Int64,
    "pinball_ratio": pl.Float64,
    "coverage_80_ratio": pl.Float64,
    "coverage_90_ratio": pl.Float64,
    "below_80_ratio": pl.Float64,
    "above_80_ratio": pl.Float64,
}


def rest_of_month(origin: date) -> int | None:
    """Days from the day after `origin` to the end of its month; None if this day is after LAST_ISSUE_DAY."""
    issued = origin + timedelta(days=1)
    return monthrange(issued.year, issued.month)[1] - issued.day + 1 if issued.day <= LAST_ISSUE_DAY else None


class MonthEndSums:
    """Sums over forecasts of month ends, by account and week of the month."""

    def __init__(self, accounts: int) -> None:
        weeks = LAST_ISSUE_DAY // _WEEK
        self._sums: dict[str, NDArray[np.int64]] = {
            name: np.zeros((accounts, weeks), dtype=np.int64) for name in _MEASURES
        }
        self._loss = np.zeros((accounts, weeks, 2))
        self._months: list[list[set[date]]] = [[set() for _ in range(weeks)] for _ in range(accounts)]

    def add(self, row: int, origin: date, drawn: Floats, baseline: Floats, observed: Floats, mean: float) -> None:
        """Score the rest of a month. `drawn` is (paths, days) and the others are (days,), all in money."""
        issued = origin + timedelta(days=1)
        week = (issued.day - 1) // _WEEK
        total = np.array(observed.sum())
        quantiles = quantiles_of(drawn.sum(axis=1), _LEVELS)
        p05, p10, p90, p95 = (quantiles[QUANTILES.index(level)] for level in (0.05, 0.10, 0.90, 0.95))
        is_low, is_high = not is_at_or_above(total, p10), not is_at_or_below(total, p90)
        for name, value in {
            "count": True,
            "held_80": not (is_low or is_high),
            "held_90": bool(is_at_or_above(total, p05) & is_at_or_below(total, p95)),
            "below": is_low,
            "above": is_high,
        }.items():
            self._sums[name][row, week] += value
        if mean > 0:
            # Each account's losses are divided by its mean spend, so that none outweighs the others.
            point = np.full(len(_LEVELS), baseline.sum())
            losses = [float(pinball(each, _LEVELS, total)) for each in (quantiles, point)]
            self._loss[row, week] += np.array(losses) / mean
        self._months[row][week].add(issued.replace(day=1))

    def rows(self, grid: SpendByDay) -> pl.DataFrame:
        """Return the table MONTH_ENDS: all accounts together, then each, for days 1 to 28 and each week of them."""
        spending = [row for row, days in enumerate(grid.days) if np.nansum(days) > 0]
        groups = [(ALL, spending), *((name, [row]) for row, name in enumerate(grid.ids))]
        weeks = range(LAST_ISSUE_DAY // _WEEK)
        found = [
            row
            for name, members in groups
            for picked in (list(weeks), *([week] for week in weeks))
            if (row := self._row(name, members, picked)) is not None
        ]
        return pl.DataFrame(found, schema=MONTH_ENDS, orient="row")

    def _row(self, name: str, members: Sequence[int], weeks: Sequence[int]) -> tuple[object, ...] | None:
        place = np.ix_(members, weeks)
        sums = {measure: int(values[place].sum()) for measure, values in self._sums.items()}
        if not (count := sums["count"]):
            return None
        own, base = self._loss[place].sum(axis=(0, 1)).tolist()
        months = set().union(*(self._months[row][week] for row in members for week in weeks))
        return (
            name,
            weeks[0] * _WEEK + 1,
            (weeks[-1] + 1) * _WEEK,
            count,
            len(months),
            own / base if base > 1e-9 else None,
            *(sums[measure] / count for measure in ("held_80", "held_90", "below", "above")),
        )
