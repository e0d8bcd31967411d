"""The days that a backtest forecasts from, and what can be scored from each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.backtest_month_ends import rest_of_month
from pipeline.forecasts.backtest_scores import LEAST_HISTORY_DAYS, SpendByDay
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import InputError, read_histories
from pipeline.schema.limits import TOTAL_HORIZONS

HORIZONS: Final = TOTAL_HORIZONS[1:]
STEP_DAYS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Days that are forecast from, and the forecasts that can be scored."""

    grid: SpendByDay
    spend: pl.DataFrame
    """account_id, date, spend_amount, optionally vendor; up to the last day of `grid`, sorted by date and account."""
    horizons: list[int]
    """Rising."""
    step_days: int
    columns: list[int]
    """The days forecast from as columns of `grid`: each is the last day that its forecasts know."""
    is_scored: NDArray[np.bool_]
    """(accounts, horizons, origins): there is enough history, and a complete horizon to compare with."""
    rests: list[int | None]
    """Of each origin, the days from the next one to the end of its month; None if that is not scored."""
    is_month_end_scored: NDArray[np.bool_]
    """(accounts, origins): the same as `is_scored` of the rest of the month."""

    @property
    def used(self) -> list[int]:
        """Numbers of the origins from which anything is scored."""
        totals = self.is_scored.any(axis=(0, 1)) if len(self.grid.ids) else np.zeros(len(self.columns), dtype=bool)
        return [int(number) for number in np.flatnonzero(totals | self.is_month_end_scored.any(axis=0))]

    @property
    def asked(self) -> list[int]:
        """Numbers of the origins from which a total is scored: those that a competitor is asked about."""
        return [number for number in self.used if self.is_scored[:, :, number].any()]

    def as_of(self, number: int) -> date:
        """Return the last day that an origin knows."""
        return self.grid.date_of(self.columns[number])

    def past(self, number: int) -> pl.DataFrame:
        """Return the rows of `spend` that were known at an origin."""
        return self.spend.filter(pl.col("date") <= self.as_of(number))

    def questions(self) -> Iterator[tuple[date, pl.DataFrame]]:
        """Yield each origin that a competitor is asked about, with what was known."""
        return ((self.as_of(number), self.past(number)) for number in self.asked)


def find_origins(
    spend: pl.DataFrame, horizons: Sequence[int] = HORIZONS, step_days: int = STEP_DAYS, until: date | None = None
) -> Origins:
    """Find the days to forecast from; the arguments are those of `backtest`. Raises InputError."""
    asked = sorted(set(horizons))
    if not asked or asked[0] < 1:
        raise InputError(f"horizons {list(horizons)} must be whole days from 1 on")
    if step_days < 1:
        raise InputError(f"step_days is {step_days}; origins are at least a day apart")
    if until is not None and spend.schema.get("date") == pl.Date:
        spend = spend.filter(pl.col("date") <= until)
    grid = _spend_by_day(spend, until)
    columns = list(range(grid.days.shape[1] - 1 - step_days, -1, -step_days))[::-1]
    rests = [rest_of_month(grid.date_of(column)) for column in columns]
    return Origins(
        grid=grid,
        spend=spend.sort("date", "account_id") if grid.ids else spend,
        horizons=asked,
        step_days=step_days,
        columns=columns,
        is_scored=_forecastable(grid.days, columns, asked),
        rests=rests,
        is_month_end_scored=_month_ends(grid.days, columns, rests, asked[-1]),
    )


def _spend_by_day(spend: pl.DataFrame, until: date | None) -> SpendByDay:
    if not spend.height or "date" not in spend.columns or spend.schema["date"] != pl.Date:
        # Raises for a frame that is no spend; one that passes is empty.
        read_histories(spend, date.max, 1)
        return SpendByDay([], date.min, np.zeros((0, 0)))
    dated = spend["date"].drop_nulls()
    first, last = dated.min() or date.max, dated.max() or date.max
    assert isinstance(first, date) and isinstance(last, date)  # noqa: S101, PT018  a column of dates has no other
    last = max(last, until or last)
    ids = read_histories(spend, last, 1).ids
    row = {name: place for place, name in enumerate(ids)}
    days = np.full((len(ids), (last - first).days + 1), np.nan)
    names = spend["account_id"].cast(pl.String).replace_strict(row, return_dtype=pl.Int64).to_numpy()
    columns = (spend["date"] - first).dt.total_days().to_numpy()
    days[names, columns] = spend["spend_amount"].cast(pl.Float64).to_numpy()
    return SpendByDay(ids, first, days)


def _forecastable(days: Floats, origins: Sequence[int], horizons: Sequence[int]) -> NDArray[np.bool_]:
    """Return (accounts, horizons, origins): where there is enough history and a complete horizon to score."""
    counted = _counted(days)
    found = np.zeros((len(days), len(horizons), len(origins)), dtype=bool)
    for number, column in enumerate(origins):
        for place, horizon in enumerate(horizons):
            found[:, place, number] = _can_be_scored(counted, column + 1, horizon)
    return found


def _month_ends(days: Floats, origins: Sequence[int], rests: Sequence[int | None], longest: int) -> NDArray[np.bool_]:
    """Return (accounts, origins): where the same is so of the rest of the month."""
    counted = _counted(days)
    found = np.zeros((len(days), len(origins)), dtype=bool)
    for number, (column, rest) in enumerate(zip(origins, rests, strict=True)):
        if rest is not None and rest <= longest:
            found[:, number] = _can_be_scored(counted, column + 1, rest)
    return found


def _counted(days: Floats) -> NDArray[np.int64]:
    """Return (accounts, days + 1): the count of observed days before each; that within [a, b) is a difference."""
    seen = np.isfinite(days)
    return np.concatenate([np.zeros((len(days), 1), dtype=np.int64), np.cumsum(seen, axis=1)], axis=1)


def _can_be_scored(counted: NDArray[np.int64], end: int, horizon: int) -> NDArray[np.bool_]:
    """Return (accounts,): enough was observed before `end`, and all of the `horizon` days from it on."""
    if end + horizon >= counted.shape[1]:
        return np.zeros(len(counted), dtype=bool)
    has_past = (counted[:, end] >= LEAST_HISTORY_DAYS) & (counted[:, end] > counted[:, max(end - 7, 0)])
    scored: NDArray[np.bool_] = has_past & (counted[:, end + horizon] - counted[:, end] == horizon)
    return scored
