"""The user's own accounts forecast from past days, and what these forecasts were worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.engine import Paths, iterate_paths
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import QUANTILES, InputError, read_histories
from pipeline.forecasts.engine.passage import passed_by_day
from pipeline.forecasts.engine.scoring import brier, is_at_or_above, is_at_or_below, pinball, quantiles_of

METHODS: Final = ("drawdown", "mean_7d", "mean_28d", "seasonal_naive")
"""The forecaster; the means of the last 7 and 28 days; each weekday as it was last."""

BASELINE: Final = "mean_28d"
"""What losses are told as a ratio of."""

HORIZONS: Final = (7, 30, 90)
ALL: Final = "*"
"""Stands in account_id for all accounts together."""

LEAST_HISTORY_DAYS: Final = 28
"""Observed days that an origin has behind it: fewer, and the 28-day mean is no mean of 28 days."""

BALANCES: Final = (5, 10, 20, 40)
"""The balances that runways are scored with, in days of mean spend."""

RUNWAY_HORIZONS: Final = (7, 30)
"""Horizons with a Brier score: in 90 days, balances of at most 40 days' spend are nearly sure to be gone."""

_LEVELS: Final = np.array(QUANTILES)
_RECENT_DAYS: Final = 180
"""Days whose mean spend the balances are multiples of, as in the benchmark."""
_EXACT: Final = 1e-9
"""A baseline whose loss is no more than this share of what was spent made no error that a ratio could be taken of."""
_FEW, _FEW_SEPARATE = 20, 4
"""Fewer forecasts, or fewer that do not overlap, and one of them more or less moves the coverage by five points or
more: a hint and no measurement."""
_TELLING: Final = 0.02
"""A difference in loss of less than this is called none."""

SCORES: Final = {
    "account_id": pl.String,
    "forecaster": pl.String,
    "horizon_days": pl.Int64,
    "origin_count": pl.Int64,
    "separate_origin_count": pl.Int64,
    "forecast_count": pl.Int64,
    "pinball_ratio": pl.Float64,
    "coverage_80_ratio": pl.Float64,
    "coverage_90_ratio": pl.Float64,
    "below_80_ratio": pl.Float64,
    "above_80_ratio": pl.Float64,
    "median_error_ratio": pl.Float64,
    "brier_score": pl.Float64,
}
CALIBRATION: Final = {
    "account_id": pl.String,
    "forecaster": pl.String,
    "horizon_days": pl.Int64,
    "nominal_ratio": pl.Float64,
    "observed_ratio": pl.Float64,
    "forecast_count": pl.Int64,
}
SKIPPED: Final = {"account_id": pl.String, "horizon_days": pl.Int64, "reason": pl.String}


class Sampler(Protocol):
    """What draws sample paths, such as `iterate_paths`."""

    def __call__(
        self, spend: pl.DataFrame, as_of: date, horizon_days: int = 90, *, seed: int = 0, paths: int = 1000
    ) -> Iterable[Paths]:
        """Paths of each account, of (paths, horizon_days), from history up to `as_of`."""
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
    skipped: pl.DataFrame
    """account_id (or '*'), horizon_days, reason: horizons of which there was no forecast, and why."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """The accounts by day."""

    ids: list[str]
    first: date
    days: Floats
    """(accounts, days), NaN where nothing was observed; the last column is the last day of all accounts."""

    def date_of(self, column: int) -> date:
        return self.first + timedelta(days=column)


class _Tally:
    """Sums over forecasts, so that memory does not grow with the number of origins but by a bit each."""

    def __init__(self, accounts: int, horizons: int, origins: int) -> None:
        shape = (accounts, horizons)
        self.scored: NDArray[np.bool_] = np.zeros((*shape, origins), dtype=bool)
        self.loss = np.zeros((*shape, len(METHODS)))
        self.error = np.zeros((*shape, len(METHODS)))
        self.brier = np.zeros((*shape, len(METHODS)))
        self.brier_count = np.zeros(shape, dtype=np.int64)
        self.spent = np.zeros(shape)
        self.held_80 = np.zeros(shape, dtype=np.int64)
        self.held_90 = np.zeros(shape, dtype=np.int64)
        self.below = np.zeros(shape, dtype=np.int64)
        self.above = np.zeros(shape, dtype=np.int64)
        self.at_or_below = np.zeros((*shape, len(QUANTILES)), dtype=np.int64)

    def add(self, place: tuple[int, int], origin: int, drawn: Sequence[Floats], came: Floats, mean: float) -> None:
        """Score one forecast of each method: `drawn` holds (paths, horizon) of each, `came` is (horizon,)."""
        total = np.array(came.sum())
        self.scored[(*place, origin)] = True
        self.spent[place] += abs(float(total))
        balances = [times * mean for times in BALANCES] if mean > 0 and len(came) in RUNWAY_HORIZONS else []
        is_dry = np.array([passed_by_day(np.cumsum(came)[:, None], balance)[-1] > 0 for balance in balances])
        for number, paths in enumerate(drawn):
            quantiles = quantiles_of(paths.sum(axis=1), _LEVELS)
            self.loss[(*place, number)] += pinball(quantiles, _LEVELS, total)
            self.error[(*place, number)] += abs(total - quantiles[QUANTILES.index(0.5)])
            if balances:
                sums = np.cumsum(paths, axis=1).T
                chance = np.array([passed_by_day(sums, balance)[-1] for balance in balances])
                self.brier[(*place, number)] += brier(chance, is_dry).mean()
            if METHODS[number] == "drawdown":
                p05, p10, p90, p95 = (quantiles[QUANTILES.index(level)] for level in (0.05, 0.10, 0.90, 0.95))
                is_low, is_high = not is_at_or_above(total, p10), not is_at_or_below(total, p90)
                self.below[place] += is_low
                self.above[place] += is_high
                self.held_80[place] += not (is_low or is_high)
                self.held_90[place] += bool(is_at_or_above(total, p05) & is_at_or_below(total, p95))
                self.at_or_below[place] += is_at_or_below(total, quantiles)
        self.brier_count[place] += bool(balances)


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
    """Forecast the totals of every account from past days, knowing no more than was known then.

    - `spend`: account_id, date, spend_amount, optionally vendor, as `forecast` takes it. A missing day is unobserved.
    - `step_days`: origins are this many days apart, counted back from the last day of all accounts.
    - `on_progress` is told (origins done, origins in all), first (0, all).

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
    grid = _grid(spend)
    origins = list(range(grid.days.shape[1] - 1 - step_days, -1, -step_days))[::-1]
    open_at = _open(grid.days, origins, asked)
    used = [number for number in range(len(origins)) if open_at[:, :, number].any()]
    tally = _Tally(len(grid.ids), len(asked), len(origins))
    rows = {name: row for row, name in enumerate(grid.ids)}
    known = spend.sort("date", "account_id") if grid.ids else spend
    on_progress(0, len(used))
    for done, number in enumerate(used, start=1):
        column = origins[number]
        past = known.filter(pl.col("date") <= grid.date_of(column))
        # Always the longest horizon: what was forecast from an origin does not depend on how much came since.
        for drawn in sampler(past, grid.date_of(column), asked[-1], seed=seed, paths=paths):
            row = rows[drawn.account_id]
            if open_at[row, :, number].any():
                behind, ahead = grid.days[row, : column + 1], grid.days[row, column + 1 : column + 1 + asked[-1]]
                mean = float(np.nanmean(behind[-_RECENT_DAYS:]))
                others = [day[None, :] for day in _by_hand(behind, asked[-1])]
                for place in np.flatnonzero(open_at[row, :, number]):
                    days = asked[place]
                    every = [way[:, :days] for way in (drawn.amounts, *others)]
                    tally.add((row, int(place)), number, every, ahead[:days], mean)
        on_progress(done, len(used))
    return Backtest(
        scores=_scores(grid, asked, origins, tally),
        calibration=_calibration(grid, asked, tally),
        skipped=_skipped(grid, asked, origins, tally),
    )


def _grid(spend: pl.DataFrame) -> _Grid:
    if not spend.height or "date" not in spend.columns or spend.schema["date"] != pl.Date:
        # Refuses what is no spend; what passes is empty.
        read_histories(spend, date.max, 1)
        return _Grid([], date.min, np.zeros((0, 0)))
    dated = spend["date"].drop_nulls()
    first, last = dated.min() or date.max, dated.max() or date.max
    assert isinstance(first, date) and isinstance(last, date)  # noqa: S101, PT018  a column of dates has no other
    ids = read_histories(spend, last, 1).ids
    row = {name: place for place, name in enumerate(ids)}
    days = np.full((len(ids), (last - first).days + 1), np.nan)
    names = spend["account_id"].cast(pl.String).replace_strict(row, return_dtype=pl.Int64).to_numpy()
    columns = (spend["date"] - first).dt.total_days().to_numpy()
    days[names, columns] = spend["spend_amount"].cast(pl.Float64).to_numpy()
    return _Grid(ids, first, days)


def _open(days: Floats, origins: Sequence[int], horizons: Sequence[int]) -> NDArray[np.bool_]:
    """(accounts, horizons, origins): where there is history enough to forecast from and a whole horizon to score."""
    seen = np.isfinite(days)
    # A column of zeros in front: the count within [a, b) is the difference of two places.
    counted = np.concatenate([np.zeros((len(days), 1), dtype=np.int64), np.cumsum(seen, axis=1)], axis=1)
    found = np.zeros((len(days), len(horizons), len(origins)), dtype=bool)
    for number, column in enumerate(origins):
        end = column + 1
        has_past = (counted[:, end] >= LEAST_HISTORY_DAYS) & (counted[:, end] > counted[:, max(end - 7, 0)])
        for place, horizon in enumerate(horizons):
            if end + horizon <= days.shape[1]:
                found[:, place, number] = has_past & (counted[:, end + horizon] - counted[:, end] == horizon)
    return found


def _by_hand(behind: Floats, horizon: int) -> tuple[Floats, Floats, Floats]:
    """(horizon,) of each: the means of the last 7 and 28 days, and each weekday as it was last observed.

    A weekday that was not observed in four weeks is the 28-day mean.
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


def _ratio(loss: Floats, spent: float) -> list[float | None]:
    base = loss[METHODS.index(BASELINE)]
    return [None] * len(METHODS) if base <= _EXACT * spent else [float(each / base) for each in loss]


def _separate(origins: Sequence[int], horizon: int) -> int:
    """How many origins can be picked so that the days they forecast do not overlap."""
    count, free_from = 0, -1
    for column in origins:
        if column >= free_from:
            count, free_from = count + 1, column + horizon
    return count


def _groups(grid: _Grid) -> list[tuple[str, list[int]]]:
    """All accounts together, those that spent nothing left out: that nothing came of nothing proves no band."""
    spending = [row for row, days in enumerate(grid.days) if np.nansum(days) > 0]
    return [(ALL, spending), *((name, [row]) for row, name in enumerate(grid.ids))]


def _scores(grid: _Grid, horizons: Sequence[int], origins: Sequence[int], tally: _Tally) -> pl.DataFrame:
    scale = np.array([np.nanmean(days) for days in grid.days])
    rows = []
    for name, members in _groups(grid):
        weight = 1.0 / scale[members] if name == ALL else np.ones(len(members))
        for place, horizon in enumerate(horizons):
            scored = tally.scored[members, place]
            count = int(scored.sum())
            if not count:
                continue
            spent = float((tally.spent[members, place] * weight).sum())
            loss = (tally.loss[members, place] * weight[:, None]).sum(axis=0)
            error = (tally.error[members, place] * weight[:, None]).sum(axis=0)
            pinballs, errors = _ratio(loss, spent), _ratio(error, spent)
            dry_count = int(tally.brier_count[members, place].sum())
            from_days = [
                origins[number] for number, is_used in enumerate(np.logical_or.reduce(scored, axis=0)) if is_used
            ]
            bands = [
                float(part[members, place].sum()) / count
                for part in (tally.held_80, tally.held_90, tally.below, tally.above)
            ]
            for number, method in enumerate(METHODS):
                rows.append(
                    (
                        name,
                        method,
                        horizon,
                        len(from_days),
                        _separate(from_days, horizon),
                        count,
                        pinballs[number],
                        *(bands if method == "drawdown" else [None] * 4),
                        errors[number],
                        float(tally.brier[members, place, number].sum()) / dry_count if dry_count else None,
                    )
                )
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def _calibration(grid: _Grid, horizons: Sequence[int], tally: _Tally) -> pl.DataFrame:
    rows = []
    for name, members in _groups(grid):
        for place, horizon in enumerate(horizons):
            count = int(tally.scored[members, place].sum())
            if count:
                met = tally.at_or_below[members, place].sum(axis=0)
                rows += [
                    (name, "drawdown", horizon, level, float(each) / count, count)
                    for level, each in zip(QUANTILES, met, strict=True)
                ]
    return pl.DataFrame(rows, schema=CALIBRATION, orient="row")


def _skipped(grid: _Grid, horizons: Sequence[int], origins: Sequence[int], tally: _Tally) -> pl.DataFrame:
    rows = []
    everyone = _groups(grid)[0][1]
    for place, horizon in enumerate(horizons):
        if not tally.scored[everyone, place].any():
            reason = f"no account that spends has an origin with {LEAST_HISTORY_DAYS} observed days before it"
            rows.append((ALL, horizon, f"{reason} and {horizon} after it, none of them missing"))
    for row, name in enumerate(grid.ids):
        for place, horizon in enumerate(horizons):
            if not tally.scored[row, place].any():
                rows.append((name, horizon, _why(np.isfinite(grid.days[row]), horizon, origins)))
    return pl.DataFrame(rows, schema=SKIPPED, orient="row")


def _why(seen: NDArray[np.bool_], horizon: int, origins: Sequence[int]) -> str:
    """Why an account was forecast from no origin."""
    count, needed = int(seen.sum()), LEAST_HISTORY_DAYS + horizon
    if count < needed:
        days = "1 day is" if count == 1 else f"{count} days are"
        return f"{days} observed; it takes {LEAST_HISTORY_DAYS} to forecast from and {horizon} to compare with"
    enough = [column for column in origins if seen[: column + 1].sum() >= LEAST_HISTORY_DAYS]
    if not any(column + horizon < len(seen) for column in enough):
        return f"no origin has {LEAST_HISTORY_DAYS} observed days before it and {horizon} after it"
    if not any(seen[column + 1 : column + 1 + horizon].sum() == horizon for column in enough):
        return f"no origin is followed by {horizon} days without one that was not observed"
    return "nothing was observed in the week before any origin whose horizon was"


def verdict(scores: pl.DataFrame, account_id: str = ALL, *, step_days: int = 7) -> list[str]:
    """What the scores say, in sentences: for each horizon whether its band held, and whether it beats the means.

    `scores` as `backtest` returns them, which was given the same `step_days`; `account_id` for one account. One
    sentence where there was no forecast.
    """
    found = scores.filter(pl.col("account_id") == account_id).sort("horizon_days")
    if not found.height:
        return ["There is not spend enough in the history to forecast from a past day and see what came."]
    lines = []
    for horizon in found["horizon_days"].unique().sort():
        here = {row["forecaster"]: row for row in found.filter(pl.col("horizon_days") == horizon).to_dicts()}
        own = here["drawdown"]
        lines += [_held(own, "weeks" if step_days == 7 else "forecasts"), _beats(own, here["mean_7d"])]
    return lines


def _held(own: dict[str, float], things: str) -> str:
    held, below = (round(100 * own[name]) for name in ("coverage_80_ratio", "below_80_ratio"))
    above = max(100 - held - below, 0)
    count, apart, horizon = (int(own[name]) for name in ("forecast_count", "separate_origin_count", "horizon_days"))
    text = f"In 100 {things} like these, the 80 % band for the next {horizon} days would have held {held}"
    if count < _FEW:
        forecasts = "1 forecast" if count == 1 else f"{count} forecasts"
        return f"{text}; only {forecasts}: read it as a hint."
    if apart < _FEW_SEPARATE:
        stretches = f"one stretch of {horizon} days" if apart == 1 else f"{apart} stretches of {horizon} days"
        return f"{text}; the {count} forecasts cover only {stretches}: read it as a hint."
    text += f": {below} would have fallen below it, {above} above."
    if held < 75:
        return f"{text} It is too narrow."
    return f"{text} It is wider than it need be." if held > 85 else text


def _beats(own: dict[str, float | None], week: dict[str, float | None]) -> str:
    loss, by_week = own["pinball_ratio"], week["pinball_ratio"]
    about = f"Next {own['horizon_days']} days:"
    if loss is None or by_week is None:
        return f"{about} the 28-day mean made no error, so nothing can beat it."
    text = f"{about} the forecast's loss is {_compared(loss)} the 28-day mean's"
    if by_week == 0:
        return f"{text}; the 7-day mean made no error."
    return f"{text} and {_compared(loss / by_week)} the 7-day mean's."


def _compared(ratio: float) -> str:
    if abs(ratio - 1) < _TELLING:
        return "the same as"
    return f"{abs(1 - ratio):.0%} {'smaller' if ratio < 1 else 'larger'} than".replace("%", " %")
