"""Step 6: combine each account's own statistics with the pool's into the model that its paths are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.level_drift import level_drift, memory_weights
from pipeline.forecasts.engine.pool import Pool, shared_errors_of
from pipeline.forecasts.engine.regimes import Regimes
from pipeline.forecasts.engine.weekly_levels import weekly_levels

CHUNK: Final = 256
"""Accounts that are modelled together. Bounds memory, and changes no number."""

_CAP: Final = 3.0
"""Most that a day can cost, as a multiple of the highest day observed. Beyond it a model has no data."""

_PRIOR_UNCERTAINTY: Final = 0.8
"""Log standard deviation of a level that only an estimate supports: between 0.45 and 2.2 times it with a probability
of two thirds."""

_DONOR_UNCERTAINTY: Final = (0.3, 0.5)
"""Log standard deviation of a level that n < 7 days support: the first plus the second divided by the root of n."""

_LARGEST_VENDOR_DEVIATION: Final = 2.0
"""Limit of the log standard deviation between a vendor's accounts: a factor of seven."""

_BLOCK_METHODS: Final = frozenset({"full", "blocks", "weeks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockModel:
    """An account with a week or more of its own: its weeks are drawn as blocks around a drifting level."""

    row: int
    """Position of the account in `Histories`."""
    mean: float
    """Mean spend a week, in money."""
    blocks: Floats
    """(w, 7): days, as multiples of `mean`."""
    levels: Floats
    """(TIME_CONSTANTS,): the newest level relative to the mean of the blocks."""
    weights: Floats
    """(TIME_CONSTANTS,): probability of each."""
    deviation: float
    """Log standard deviation of the level over four weeks."""
    exposure: float
    """How much of a shared move of the level the account takes part in: 1 for all of it."""
    widths: Floats
    """(WIDTH_WEEKS,): log of the calibrated factors on `deviation`."""
    uncertainty: float
    """Log standard deviation of today's level, because few days support it."""
    weeks_since: int
    """Weeks between the newest observed one and `as_of`."""
    week_count: int
    """Observed weeks: the last ones of `blocks`."""
    cap: float
    """Most that a day can cost, in money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DonorModel:
    """An account with less than a week of its own, or only an estimate: other accounts' weeks at its level."""

    row: int
    """Position of the account in `Histories`."""
    observed: Floats
    """(n,): its own observed days in money, refunds as 0; n < 7, and 0 where `level` is an estimate."""
    level: float
    """Mean spend a day, in money: of the observed days, or estimated."""
    vendor_level: tuple[float, float] | None
    """Mean and standard deviation of the log of the daily spend of the vendor's accounts, which count as one more
    day; None where the vendor is unknown or nothing was observed."""
    uncertainty: float
    """Log standard deviation of the level."""
    weeks: Floats
    """(donors, 7): weeks with a sum of 1."""


PathModel = BlockModel | DonorModel


def path_models(regimes: Regimes, pool: Pool, chunk: int = CHUNK) -> Iterator[PathModel]:
    """Yield the model of each account in their order, without those that cannot be forecast (method `none`).

    `chunk` accounts are modelled at a time.
    """
    for begin in range(0, len(regimes.methods), chunk):
        methods = regimes.methods[begin : begin + chunk]
        block_rows = [row for row, method in enumerate(methods, start=begin) if method in _BLOCK_METHODS]
        blocks = {model.row: model for model in _block_models(regimes, block_rows, pool)}
        for row, method in enumerate(methods, start=begin):
            if method != "none":
                yield blocks[row] if row in blocks else _donor_model(regimes, row, pool)


def _block_models(regimes: Regimes, rows: list[int], pool: Pool) -> list[BlockModel]:
    if not rows:
        return []
    weekly = weekly_levels(regimes.days[rows])
    pooled = pool.at(weekly.roughness)
    vendors = [regimes.histories.vendors[row] for row in rows]
    weights = memory_weights(weekly, pooled.errors)
    drift = level_drift(weekly, weights, shared_errors_of(pool.shared_errors, vendors, weekly.calendar))
    deviations = drift.deviation(pooled.variance)
    newest, means = weekly.levels[:, :, -1], weekly.block_means
    levels = np.where(means > 0, newest / np.where(means > 0, means, 1.0), 1.0)
    return [
        BlockModel(
            row=row,
            mean=float(weekly.mean[place]),
            blocks=weekly.blocks[place],
            levels=levels[:, place],
            weights=drift.weights[place],
            deviation=float(deviations[place]),
            exposure=float(drift.exposures[place]),
            widths=pooled.widths[place],
            uncertainty=float(weekly.level_uncertainty[place]),
            weeks_since=int(weekly.weeks_since[place]),
            week_count=int(weekly.week_counts[place]),
            cap=_CAP * float(weekly.highest_day[place]),
        )
        for place, row in enumerate(rows)
    ]


def _donor_model(regimes: Regimes, row: int, pool: Pool) -> DonorModel:
    vendor, days = regimes.histories.vendors[row], regimes.days[row]
    observed = np.maximum(days[np.isfinite(days)], 0.0)
    has_days = len(observed) > 0
    base, per_day = _DONOR_UNCERTAINTY
    return DonorModel(
        row=row,
        observed=observed,
        level=float(observed.mean()) if has_days else max(float(regimes.histories.priors[row]), 0.0),
        vendor_level=_vendor_level(pool, vendor) if has_days else None,
        uncertainty=float(base + per_day / np.sqrt(len(observed))) if has_days else _PRIOR_UNCERTAINTY,
        weeks=pool.donors.get(vendor, pool.donors.get("", np.full((1, 7), 1 / 7))),
    )


def _vendor_level(pool: Pool, vendor: str) -> tuple[float, float] | None:
    if vendor not in pool.levels:
        return None
    mean, deviation = pool.levels[vendor].tolist()
    return mean, min(deviation, _LARGEST_VENDOR_DEVIATION)
