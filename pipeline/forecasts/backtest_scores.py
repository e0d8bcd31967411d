"""Scores of backtested forecasts: sums over them, and the tables that are made from the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import QUANTILES
from pipeline.forecasts.engine.passage import passed_by_day
from pipeline.forecasts.engine.scoring import brier, is_at_or_above, is_at_or_below, pinball, quantiles_of

METHODS: Final = ("drawdown", "mean_7d", "mean_28d", "seasonal_naive")
"""The forecaster; the means of the last 7 and 28 days; each weekday as it was last."""

BASELINE: Final = "mean_28d"
"""Losses are given as a ratio to that of this method."""

ALL: Final = "*"
"""The account_id of all accounts together."""

LEAST_HISTORY_DAYS: Final = 28
"""Observed days that an origin needs before it: with fewer, the 28-day mean is no mean of 28 days."""

BALANCES: Final = (5, 10, 20, 40)
"""Balances that runways are scored with, in days of mean spend."""

RUNWAY_HORIZONS: Final = (7, 30)
"""Horizons with a Brier score: after 90 days, a balance of at most 40 days' spend is almost certainly used up."""

_LEVELS: Final = np.array(QUANTILES)
NEGLIGIBLE_SHARE: Final = 1e-9
"""A baseline whose loss is at most this share of what was spent made no error to divide by, only rounding errors."""

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


@dataclass(frozen=True, slots=True)
class SpendByDay:
    """Spend of all accounts by day."""

    ids: list[str]
    first: date
    """The day of the first column."""
    days: Floats
    """(accounts, days) in money, NaN where nothing was observed; the last column is the last day of all accounts."""

    def date_of(self, column: int) -> date:
        """Return the day of a column."""
        return self.first + timedelta(days=column)

    @property
    def scale(self) -> Floats:
        """(accounts,): mean spend of a day, by which losses are divided where accounts are added up."""
        return np.array([np.nanmean(days) for days in self.days])


class ScoreSums:
    """Sums over forecasts by account and horizon, so that memory grows by no more than two bytes an origin."""

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
        self.side: NDArray[np.int8] = np.zeros((*shape, origins), dtype=np.int8)
        """-1 for a total below its 80 % band, 1 above, 0 within or without a forecast."""
        self.at_or_below = np.zeros((*shape, len(QUANTILES)), dtype=np.int64)

    def add(self, place: tuple[int, int], origin: int, drawn: Sequence[Floats], observed: Floats, mean: float) -> None:
        """Score one forecast of each of METHODS.

        `place` is the row of the account and the number of the horizon. `drawn` holds (paths, horizon) of each method,
        `observed` is (horizon,), both in money. `mean` is the account's mean daily spend.
        """
        total = np.array(observed.sum())
        self.scored[(*place, origin)] = True
        self.spent[place] += abs(float(total))
        balances = [times * mean for times in BALANCES] if mean > 0 and len(observed) in RUNWAY_HORIZONS else []
        is_dry = np.array([passed_by_day(np.cumsum(observed)[:, None], balance)[-1] > 0 for balance in balances])
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
                self.side[(*place, origin)] = int(is_high) - int(is_low)
                self.held_80[place] += not (is_low or is_high)
                self.held_90[place] += bool(is_at_or_above(total, p05) & is_at_or_below(total, p95))
                self.at_or_below[place] += is_at_or_below(total, quantiles)
        self.brier_count[place] += bool(balances)


def _ratio(loss: Floats, spent: float) -> list[float | None]:
    """Return the loss of each method divided by the baseline's; None where that made no error."""
    base = loss[METHODS.index(BASELINE)]
    return [None] * len(METHODS) if base <= NEGLIGIBLE_SHARE * spent else [float(each / base) for each in loss]


def separate(origins: Sequence[int], horizon: int) -> int:
    """Return how many origins can be chosen so that the days that they forecast do not overlap."""
    count, free_from = 0, -1
    for column in origins:
        if column >= free_from:
            count, free_from = count + 1, column + horizon
    return count


def groups(grid: SpendByDay, only: str | None = None) -> list[tuple[str, list[int]]]:
    """Return all accounts together, without those that spent nothing, which prove no band; then each by itself.

    Each has a name and the rows of its accounts in `grid`; `only` is the name of the one to return.
    """
    spending = [row for row, days in enumerate(grid.days) if np.nansum(days) > 0]
    found = [(ALL, spending), *((name, [row]) for row, name in enumerate(grid.ids))]
    return [group for group in found if only in (None, group[0])]


def score_rows(grid: SpendByDay, horizons: Sequence[int], origins: Sequence[int], tally: ScoreSums) -> pl.DataFrame:
    """Return the table SCORES: one row a group of accounts, horizon and method."""
    scale = grid.scale
    rows = []
    for name, members in groups(grid):
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
            side = tally.side[members, place]
            bands = [
                float(part.sum()) / count
                for part in (tally.held_80[members, place], tally.held_90[members, place], side < 0, side > 0)
            ]
            for number, method in enumerate(METHODS):
                rows.append(
                    (
                        name,
                        method,
                        horizon,
                        len(from_days),
                        separate(from_days, horizon),
                        count,
                        pinballs[number],
                        *(bands if method == "drawdown" else [None] * 4),
                        errors[number],
                        float(tally.brier[members, place, number].sum()) / dry_count if dry_count else None,
                    )
                )
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def calibration_rows(grid: SpendByDay, horizons: Sequence[int], tally: ScoreSums) -> pl.DataFrame:
    """Return the table CALIBRATION: one row a group of accounts, horizon and quantile."""
    rows = []
    for name, members in groups(grid):
        for place, horizon in enumerate(horizons):
            count = int(tally.scored[members, place].sum())
            if count:
                met = tally.at_or_below[members, place].sum(axis=0)
                rows += [
                    (name, "drawdown", horizon, level, float(each) / count, count)
                    for level, each in zip(QUANTILES, met, strict=True)
                ]
    return pl.DataFrame(rows, schema=CALIBRATION, orient="row")


def skipped_rows(grid: SpendByDay, horizons: Sequence[int], origins: Sequence[int], tally: ScoreSums) -> pl.DataFrame:
    """Return the table SKIPPED: the horizons of which there was no forecast, and why."""
    rows = []
    everyone = groups(grid)[0][1]
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
    """Say why no origin of an account could be scored."""
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
