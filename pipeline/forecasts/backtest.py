"""Backtests: the user's own accounts forecast from past days, and how good these forecasts were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.backtest_month_ends import MonthEndSums, rest_of_month
from pipeline.forecasts.backtest_scores import (
    BASELINE,
    LEAST_HISTORY_DAYS,
    METHODS,
    ScoreSums,
    SpendByDay,
    calibration_rows,
    score_rows,
    skipped_rows,
)
from pipeline.forecasts.engine import Paths, iterate_paths
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import InputError, read_histories
from pipeline.schema.limits import HORIZON_DAYS, TOTAL_HORIZONS

HORIZONS: Final = TOTAL_HORIZONS[1:]
_RECENT_DAYS: Final = 180
"""Days whose mean spend the balances are multiples of: half a year, as in the benchmark."""


class Sampler(Protocol):
    """A function that draws sample paths, such as `iterate_paths`."""

    def __call__(
        self, spend: pl.DataFrame, as_of: date, horizon_days: int = HORIZON_DAYS, *, seed: int = 0, paths: int = 1000
    ) -> Iterable[Paths]:
        """Return the paths of each account, (paths, horizon_days), from its history up to `as_of`."""
        ...  # pragma: no cover


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What `backtest` returns; rows are sorted by their keys, '*' first."""

    scores: pl.DataFrame
    """A row an account (or '*'), forecaster (METHODS) and horizon of which there was a forecast.

    - origin_count: days forecast from; separate_origin_count: how many of them can be picked so that no two horizons
      overlap; forecast_count: accounts x origins.
    - pinball_ratio, median_error_ratio: mean loss, and mean error of p50, over that of the 28-day mean from the same
      origins, below 1 is better; null where that made no error. In '*' each account's losses are divided by its mean
      spend first.
    - coverage_80_ratio, coverage_90_ratio: the share of totals within p10 to p90 and p05 to p95; below_80_ratio
      and above_80_ratio: below p10, above p90. Null for methods without a band.
    - brier_score: of P(depleted within the horizon), mean over BALANCES; null where spend is not positive, and for
      horizons that are not in RUNWAY_HORIZONS.

    Accounts that spent nothing are not in '*'.
    """
    calibration: pl.DataFrame
    """account_id (or '*'), forecaster (`drawdown`), horizon_days, nominal_ratio (each of QUANTILES), observed_ratio:
    the share of totals at or below that quantile, forecast_count."""
    month_ends: pl.DataFrame
    """A row an account (or '*') and range of days of the month on which its end was forecast, those of all weeks first:
    first_issue_day_number, last_issue_day_number, forecast_count, month_count (different months), and the ratios of
    `scores`, of the spend from the day of issue to the month's end."""
    skipped: pl.DataFrame
    """account_id (or '*'), horizon_days, reason: horizons of which there was no forecast, and why."""


def backtest(
    spend: pl.DataFrame,
    *,
    horizons: Sequence[int] = HORIZONS,
    step_days: int = 7,
    seed: int = 0,
    paths: int = 1000,
    sampler: Sampler = iterate_paths,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Backtest:
    """Forecast the totals of every account from past days, using only what was known then.

    - `spend`: account_id, date, spend_amount, optionally vendor, as `forecast` takes it. A missing day is unobserved.
    - `step_days`: origins are this many days apart, counted back from the last day of all accounts.
    - `on_progress` is called with (origins done, all origins), first with (0, all).

    An account is forecast from an origin when it had 28 observed days by then, one of them in the last week, and
    scored on a horizon whose every day was observed. The accounts learn from each other at each origin as they do in
    `forecast`; each method is scored on the same forecasts. The same rows in any order give the same numbers.
    Raises InputError, also for horizons and steps that are not positive.
    """
    asked = sorted(set(horizons))
    if not asked or asked[0] < 1:
        raise InputError(f"horizons {list(horizons)} must be whole days from 1 on")
    if step_days < 1:
        raise InputError(f"step_days is {step_days}; origins are at least a day apart")
    grid = _spend_by_day(spend)
    origins = list(range(grid.days.shape[1] - 1 - step_days, -1, -step_days))[::-1]
    forecastable = _forecastable(grid.days, origins, asked)
    rests = [rest_of_month(grid.date_of(column)) for column in origins]
    ends = _month_ends(grid.days, origins, rests, asked[-1])
    used = [number for number in range(len(origins)) if forecastable[:, :, number].any() or ends[:, number].any()]
    month_ends = MonthEndSums(len(grid.ids))
    tally = ScoreSums(len(grid.ids), len(asked), len(origins))
    rows = {name: row for row, name in enumerate(grid.ids)}
    known = spend.sort("date", "account_id") if grid.ids else spend
    on_progress(0, len(used))
    for done, number in enumerate(used, start=1):
        column = origins[number]
        past = known.filter(pl.col("date") <= grid.date_of(column))
        # Always the longest horizon: the forecast of an origin must not depend on how much came after it.
        for drawn in sampler(past, grid.date_of(column), asked[-1], seed=seed, paths=paths):
            row = rows[drawn.account_id]
            if forecastable[row, :, number].any() or ends[row, number]:
                behind, ahead = grid.days[row, : column + 1], grid.days[row, column + 1 : column + 1 + asked[-1]]
                mean = float(np.nanmean(behind[-_RECENT_DAYS:]))
                others = [day[None, :] for day in _baselines(behind, asked[-1])]
                for place in np.flatnonzero(forecastable[row, :, number]):
                    days = asked[place]
                    every = [way[:, :days] for way in (drawn.amounts, *others)]
                    tally.add((row, int(place)), number, every, ahead[:days], mean)
                if ends[row, number] and (rest := rests[number]) is not None:
                    baseline = others[METHODS.index(BASELINE) - 1][0, :rest]
                    month_ends.add(row, grid.date_of(column), drawn.amounts[:, :rest], baseline, ahead[:rest], mean)
        on_progress(done, len(used))
    return Backtest(
        scores=score_rows(grid, asked, origins, tally),
        calibration=calibration_rows(grid, asked, tally),
        month_ends=month_ends.rows(grid),
        skipped=skipped_rows(grid, asked, origins, tally),
    )


def _spend_by_day(spend: pl.DataFrame) -> SpendByDay:
    if not spend.height or "date" not in spend.columns or spend.schema["date"] != pl.Date:
        # Raises for a frame that is no spend; one that passes is empty.
        read_histories(spend, date.max, 1)
        return SpendByDay([], date.min, np.zeros((0, 0)))
    dated = spend["date"].drop_nulls()
    first, last = dated.min() or date.max, dated.max() or date.max
    assert isinstance(first, date) and isinstance(last, date)  # noqa: S101, PT018  a column of dates has no other
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


def _baselines(behind: Floats, horizon: int) -> tuple[Floats, Floats, Floats]:
    """Return the means of the last 7 and 28 days, and each weekday as it was last observed: three of (horizon,).

    A weekday that was not observed in four weeks has the 28-day mean.
    """
    month = behind[-28:]
    mean = float(np.nanmean(month))
    weeks = np.full(28, np.nan)
    weeks[28 - len(month) :] = month
    weekdays = np.full(7, mean)
    for week in weeks.reshape(4, 7):
        weekdays = np.where(np.isfinite(week), week, weekdays)
    naive: Floats = np.resize(weekdays, horizon)
    return np.full(horizon, np.nanmean(behind[-7:])), np.full(horizon, mean), naive
