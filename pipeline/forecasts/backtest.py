"""Backtests: the user's own accounts forecast from past days, and how good these forecasts were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol

import numpy as np
import polars as pl

from pipeline.forecasts.backtest_comparison import comparison_rows, competitor_calibration, competitor_scores
from pipeline.forecasts.backtest_contest import Contest
from pipeline.forecasts.backtest_month_ends import MonthEndSums
from pipeline.forecasts.backtest_months import month_rows
from pipeline.forecasts.backtest_origins import HORIZONS, STEP_DAYS, find_origins
from pipeline.forecasts.backtest_scores import (
    BASELINE,
    METHODS,
    ScoreSums,
    calibration_rows,
    score_rows,
    skipped_rows,
)
from pipeline.forecasts.backtest_shared_misses import shared_miss_rows
from pipeline.forecasts.competitors import Competitor
from pipeline.forecasts.engine import Paths, iterate_paths
from pipeline.forecasts.engine.arrays import Floats
from pipeline.schema.limits import HORIZON_DAYS

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
    months: pl.DataFrame
    """forecaster, horizon_days, target_month (of the middle day of the horizon), forecast_count, account_count,
    origin_count, coverage_80_ratio, below_80_ratio, above_80_ratio: of the accounts that spent anything."""
    shared_misses: pl.DataFrame
    """Whether accounts miss their bands together: `backtest_shared_misses.shared_miss_rows`. forecaster, horizon_days,
    account_count, origin_count, separate_origin_count, miss_variance_ratio, chance_probability, is_shared."""
    comparisons: pl.DataFrame
    """A row an account (or '*'), competitor and horizon that it was asked about: `measure` is `total` or `day`,
    loss_ratio its loss over that of `drawdown` on the same forecasts, with its interval at 95 % (`interval`)."""
    skipped: pl.DataFrame
    """account_id (or '*'), horizon_days, reason: horizons of which there was no forecast, and why."""


def backtest(
    spend: pl.DataFrame,
    *,
    horizons: Sequence[int] = HORIZONS,
    step_days: int = STEP_DAYS,
    until: date | None = None,
    competitors: Sequence[Competitor] = (),
    seed: int = 0,
    paths: int = 1000,
    sampler: Sampler = iterate_paths,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Backtest:
    """Forecast the totals of every account from past days, using only what was known then.

    - `spend`: account_id, date, spend_amount, optionally vendor, as `forecast` takes it. A missing day is unobserved.
    - `step_days`: origins are this many days apart, counted back from the last day of all accounts.
    - `until`: this last day instead; later rows are left out.
    - `competitors`: forecasters that are asked the same at each origin, and scored where they answer.
    - `on_progress` is called with (origins done, all origins), first with (0, all).

    An account is forecast from an origin when it had 28 observed days by then, one of them in the last week, and
    scored on a horizon whose every day was observed. The accounts learn from each other at each origin as they do in
    `forecast`; each method is scored on the same forecasts. The same rows in any order give the same numbers.
    Raises InputError, also for horizons and steps that are not positive; UsageError for a competitor that fails or
    breaks the contract.
    """
    plan = find_origins(spend, horizons, step_days, until)
    grid, asked, longest, used = plan.grid, plan.horizons, plan.horizons[-1], plan.used
    month_ends = MonthEndSums(len(grid.ids))
    tally = ScoreSums(len(grid.ids), len(asked), len(plan.columns))
    contest = Contest(plan, competitors)
    rows = {name: row for row, name in enumerate(grid.ids)}
    on_progress(0, len(used))
    for done, number in enumerate(used, start=1):
        column, as_of, past = plan.columns[number], plan.as_of(number), plan.past(number)
        contest.ask(number, past)
        # Always the longest horizon: the forecast of an origin must not depend on how much came after it.
        for drawn in sampler(past, as_of, longest, seed=seed, paths=paths):
            row = rows[drawn.account_id]
            scored = plan.is_scored[row, :, number]
            if scored.any() or plan.is_month_end_scored[row, number]:
                behind, ahead = grid.days[row, : column + 1], grid.days[row, column + 1 : column + 1 + longest]
                mean = float(np.nanmean(behind[-_RECENT_DAYS:]))
                others = [day[None, :] for day in _baselines(behind, longest)]
                baseline = others[METHODS.index(BASELINE) - 1][0]
                for place in np.flatnonzero(scored):
                    days = asked[place]
                    every = [way[:, :days] for way in (drawn.amounts, *others)]
                    tally.add((row, int(place)), number, every, ahead[:days], mean)
                if scored.any():
                    contest.add(row, number, drawn.amounts, baseline, ahead)
                if plan.is_month_end_scored[row, number] and (rest := plan.rests[number]) is not None:
                    month_ends.add(row, as_of, drawn.amounts[:, :rest], baseline[:rest], ahead[:rest], mean)
        on_progress(done, len(used))
    banded = [("drawdown", tally.scored, tally.side), *contest.outcomes()]
    return Backtest(
        scores=_joined(score_rows(grid, asked, plan.columns, tally), competitor_scores(plan, contest.sums)),
        calibration=_joined(calibration_rows(grid, asked, tally), competitor_calibration(plan, contest.sums)),
        month_ends=month_ends.rows(grid),
        months=pl.concat([month_rows(plan, *each) for each in banded]),
        shared_misses=pl.concat([shared_miss_rows(plan, *each) for each in banded]),
        comparisons=comparison_rows(plan, tally.scored, contest.sums),
        skipped=skipped_rows(grid, asked, plan.columns, tally),
    )


def _joined(own: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Add competitors' rows after those of the same account and horizon."""
    if not others.height:
        return own
    order = {name: place for place, name in enumerate(own["account_id"].unique(maintain_order=True))}
    # Stable: the rows of each part stay in their order.
    return pl.concat([own, others]).sort(
        pl.col("account_id").replace_strict(order, default=len(order)), "horizon_days", maintain_order=True
    )


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
