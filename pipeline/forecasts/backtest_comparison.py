"""A competitor's scores beside Drawdown's: on the same forecasts, with an interval for the ratio of losses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.backtest_origins import Origins
from pipeline.forecasts.backtest_scores import (
    ALL,
    CALIBRATION,
    NEGLIGIBLE_SHARE,
    SCORES,
    groups,
    separate,
)
from pipeline.forecasts.competitors import Measure
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import QUANTILES
from pipeline.forecasts.engine.scoring import is_at_or_above, is_at_or_below, pinball

LEAST_SEPARATE: Final = 4
"""Periods without overlap that an interval needs: fewer say nothing about other periods."""
_LEVELS: Final = np.array(QUANTILES)
_CONFIDENCE: Final = 0.95

COMPARISONS: Final = {
    "account_id": pl.String,
    "forecaster": pl.String,
    "measure": pl.String,
    "horizon_days": pl.Int64,
    "forecast_count": pl.Int64,
    "unanswered_count": pl.Int64,
    "unanswered_account_count": pl.Int64,
    "unanswered_origin_count": pl.Int64,
    "account_count": pl.Int64,
    "better_account_count": pl.Int64,
    "origin_count": pl.Int64,
    "separate_origin_count": pl.Int64,
    "loss_ratio": pl.Float64,
    "loss_low_ratio": pl.Float64,
    "loss_high_ratio": pl.Float64,
}


class CompetitorSums:
    """What a competitor scored, and what Drawdown and the 28-day mean scored on the same forecasts."""

    def __init__(self, name: str, measure: Measure, accounts: int, horizons: int, origins: int) -> None:
        self.name = name
        self.measure: Measure = measure
        shape = (accounts, horizons, origins)
        self.loss = np.full(shape, np.nan)
        """(accounts, horizons, origins), NaN where it was not asked or did not answer; as are the next two."""
        self.own_loss = np.full(shape, np.nan)
        self.base_loss = np.full(shape, np.nan)
        self.spent = np.zeros((accounts, horizons))
        self.error = np.zeros((accounts, horizons, 2))
        """Sums of the errors of p50 and of the mean."""
        self.side: NDArray[np.int8] = np.zeros(shape, dtype=np.int8)
        """-1 for a total below the 80 % band, 1 above."""
        self.held_90 = np.zeros((accounts, horizons), dtype=np.int64)
        self.at_or_below = np.zeros((accounts, horizons, len(QUANTILES)), dtype=np.int64)

    @property
    def is_answered(self) -> NDArray[np.bool_]:
        """(accounts, horizons, origins): where it is scored."""
        found: NDArray[np.bool_] = np.isfinite(self.loss)
        return found

    def add_total(self, cell: tuple[int, int, int], stated: Floats, own: Floats, base: float, total: float) -> None:
        """Score a total. `cell` is the account, horizon and origin; `stated` and `own` are (levels,)."""
        if not np.isfinite(stated).all():
            return
        place, observed = cell[:2], np.array(total)
        self.loss[cell] = pinball(stated, _LEVELS, observed)
        self.own_loss[cell] = pinball(own, _LEVELS, observed)
        self.base_loss[cell] = abs(total - base)
        self.spent[place] += abs(total)
        self.error[place] += (abs(total - stated[QUANTILES.index(0.5)]), abs(total - base))
        p05, p10, p90, p95 = (stated[QUANTILES.index(level)] for level in (0.05, 0.10, 0.90, 0.95))
        self.side[cell] = int(not is_at_or_below(observed, p90)) - int(not is_at_or_above(observed, p10))
        self.held_90[place] += bool(is_at_or_above(observed, p05) & is_at_or_below(observed, p95))
        self.at_or_below[place] += is_at_or_below(observed, stated)

    def add_days(self, cell: tuple[int, int, int], stated: Floats, own: Floats, base: Floats, days: Floats) -> None:
        """Score single days: `stated` and `own` are (days, levels), `base` and `days` (days,); losses are summed."""
        if not np.isfinite(stated).all():
            return
        self.loss[cell] = pinball(stated, _LEVELS, days).sum()
        self.own_loss[cell] = pinball(own, _LEVELS, days).sum()
        self.base_loss[cell] = np.abs(days - base).sum()


def interval(
    loss: Floats, other: Floats, columns: Sequence[int], horizon: int, step_days: int
) -> tuple[float | None, float | None, float | None]:
    """Return the ratio of summed losses, and its interval at 95 %; None where there is none to state.

    `loss` and `other` are (accounts, origins), NaN where there is no pair; `columns` are the days of the origins.

    The variance of the log of the ratio, by the delta method, is that of the sums by account plus that of the sums by
    origin (Cameron, Gelbach and Miller, 2011, without the term that they subtract, so that it is never too small; with
    one account only the latter). Neighbouring origins whose horizons overlap count as correlated, with Bartlett's
    weights over twice the overlap (Newey and West, 1987). The quantile is Student's, with one degree of freedom less
    than there are separate periods or accounts, whichever are fewer. Under LEAST_SEPARATE periods there is no interval.
    """
    is_paired = np.isfinite(loss) & np.isfinite(other)
    mine, theirs = np.where(is_paired, loss, 0.0), np.where(is_paired, other, 0.0)
    total, base = float(mine.sum()), float(theirs.sum())
    if base <= 0:
        return None, None, None
    ratio = total / base
    used = np.flatnonzero(is_paired.any(axis=0)).tolist()
    accounts = int(is_paired.any(axis=1).sum())
    periods = separate([columns[number] for number in used], horizon)
    if total <= 0 or periods < LEAST_SEPARATE:
        return ratio, None, None
    influence = mine / total - theirs / base
    by_origin = influence.sum(axis=0)[used]
    place = np.array([columns[number] for number in used]) // step_days
    reach = 2 * math.ceil(horizon / step_days) - 1
    apart = np.abs(place[:, None] - place[None, :])
    weights = np.maximum(1 - apart / reach, 0)
    variance = float(by_origin @ weights @ by_origin) * periods / (periods - 1)
    freedom = periods - 1
    if accounts > 1:
        by_account = influence.sum(axis=1)
        variance += float(by_account @ by_account) * accounts / (accounts - 1)
        freedom = min(freedom, accounts - 1)
    width = students_quantile(0.5 + _CONFIDENCE / 2, freedom) * math.sqrt(max(variance, 0.0))
    return ratio, ratio * math.exp(-width), ratio * math.exp(width)


def students_quantile(level: float, freedom: int) -> float:
    """Return a quantile of Student's distribution, to 1 %: exact for 1 and 2, then the expansion of Cornish and Fisher.

    Source: Abramowitz and Stegun, 26.7.5.
    """
    if freedom == 1:
        return math.tan(math.pi * (level - 0.5))
    if freedom == 2:
        return (2 * level - 1) * math.sqrt(2 / (4 * level * (1 - level)))
    z = NormalDist().inv_cdf(level)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def comparison_rows(origins: Origins, scored: NDArray[np.bool_], sums: Sequence[CompetitorSums]) -> pl.DataFrame:
    """Return the table COMPARISONS: one row a group of accounts, competitor and horizon that it was asked about.

    `scored` is (accounts, horizons, origins): where Drawdown's own forecast was scored.
    """
    scale = origins.grid.scale
    rows = []
    for name, members in groups(origins.grid):
        for each in sums:
            for place, horizon in enumerate(origins.horizons):
                asked = scored[members, place]
                answered = each.is_answered[members, place]
                if not asked.any():
                    continue
                weight = 1.0 / scale[members, None] if name == ALL else 1.0
                loss, own = each.loss[members, place] * weight, each.own_loss[members, place] * weight
                from_days = [origins.columns[number] for number in np.flatnonzero(answered.any(axis=0))]
                is_better = np.nansum(loss, axis=1) < np.nansum(own, axis=1)
                rows.append(
                    (
                        name,
                        each.name,
                        each.measure,
                        horizon,
                        int(answered.sum()),
                        int(asked.sum() - answered.sum()),
                        int((asked.any(axis=1) & ~answered.any(axis=1)).sum()),
                        int((asked.any(axis=0) & ~answered.any(axis=0)).sum()),
                        int(answered.any(axis=1).sum()),
                        int(is_better.sum()),
                        len(from_days),
                        separate(from_days, horizon),
                        *interval(loss, own, origins.columns, horizon, origins.step_days),
                    )
                )
    return pl.DataFrame(rows, schema=COMPARISONS, orient="row")


def competitor_scores(origins: Origins, sums: Sequence[CompetitorSums]) -> pl.DataFrame:
    """Return rows of the table SCORES for competitors that stated totals, over the mean on the same forecasts."""
    scale = origins.grid.scale
    rows = []
    for name, members in groups(origins.grid):
        weight = 1.0 / scale[members] if name == ALL else np.ones(len(members))
        for each in sums:
            for place, horizon in enumerate(origins.horizons):
                answered = each.is_answered[members, place]
                count = int(answered.sum())
                if each.measure != "total" or not count:
                    continue
                from_days = [origins.columns[number] for number in np.flatnonzero(answered.any(axis=0))]
                loss, base = (
                    float(np.nansum(part[members, place] * weight[:, None])) for part in (each.loss, each.base_loss)
                )
                error, base_error = (each.error[members, place] * weight[:, None]).sum(axis=0).tolist()
                spent = float((each.spent[members, place] * weight).sum())
                has_base = base > NEGLIGIBLE_SHARE * spent
                side = each.side[members, place]
                below, above = float((side < 0).sum()) / count, float((side > 0).sum()) / count
                rows.append(
                    {
                        "account_id": name,
                        "forecaster": each.name,
                        "horizon_days": horizon,
                        "origin_count": len(from_days),
                        "separate_origin_count": separate(from_days, horizon),
                        "forecast_count": count,
                        "pinball_ratio": loss / base if has_base else None,
                        "coverage_80_ratio": float((side[answered] == 0).sum()) / count,
                        "coverage_90_ratio": float(each.held_90[members, place].sum()) / count,
                        "below_80_ratio": below,
                        "above_80_ratio": above,
                        "median_error_ratio": error / base_error if has_base else None,
                        "brier_score": None,
                    }
                )
    return pl.DataFrame(rows, schema=SCORES, orient="row")


def competitor_calibration(origins: Origins, sums: Sequence[CompetitorSums]) -> pl.DataFrame:
    """Return rows of the table CALIBRATION for competitors that stated totals."""
    rows = []
    for name, members in groups(origins.grid):
        for each in sums:
            for place, horizon in enumerate(origins.horizons):
                count = int(each.is_answered[members, place].sum())
                if each.measure == "total" and count:
                    met = each.at_or_below[members, place].sum(axis=0)
                    rows += [
                        (name, each.name, horizon, level, float(share) / count, count)
                        for level, share in zip(QUANTILES, met, strict=True)
                    ]
    return pl.DataFrame(rows, schema=CALIBRATION, orient="row")
