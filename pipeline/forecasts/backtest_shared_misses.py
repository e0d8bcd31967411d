"""Whether accounts miss their bands together: a test of the fleet against accounts that know nothing of each other."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.backtest_origins import Origins
from pipeline.forecasts.backtest_scores import ALL, groups, separate

LEAST_ACCOUNTS: Final = 5
LEAST_PERIODS: Final = 8
"""Periods without overlap that it takes: a single unusual one could be anything."""
LEAST_VARIANCE_RATIO: Final = 2.0
LARGEST_CHANCE: Final = 0.01

_SHIFTS: Final = 999
_MOST_ACCOUNTS: Final = 500
"""So many of a larger fleet, evenly spaced in the order of ids, tell as much and cost less."""

SHARED_MISSES: Final = {
    "forecaster": pl.String,
    "horizon_days": pl.Int64,
    "account_count": pl.Int64,
    "origin_count": pl.Int64,
    "separate_origin_count": pl.Int64,
    "miss_variance_ratio": pl.Float64,
    "chance_probability": pl.Float64,
    "is_shared": pl.Boolean,
}


def miss_variance(scored: NDArray[np.bool_], side: NDArray[np.int8], seed: int = 0) -> tuple[float, float]:
    """Return how much more misses vary between origins than those of independent accounts, and the chance of that.

    `scored` and `side` are (accounts, origins): whether there is a forecast, and -1 for a total below its band, 1
    above, 0 within.

    The statistic is the sum over origins of the squared balance of misses: those above minus those below, each less its
    account's own mean, so that bands that are wrong all year do not count. It is compared with 999 fleets in which each
    account's misses are moved along its origins, the end to the beginning, by a random number of its own: that keeps
    how often and how long each misses, and loses who misses when. The ratio is over the mean of these fleets, 1 without
    any miss; the chance is the share of fleets, with this one, whose statistic is as large. The same arguments give the
    same numbers.
    """
    counts = scored.sum(axis=1)
    values = np.where(scored, side, 0).astype(np.float64)
    values = np.where(scored, values - (values.sum(axis=1) / np.maximum(counts, 1))[:, None], 0.0)
    found = float((values.sum(axis=0) ** 2).sum())
    rank = np.cumsum(scored, axis=1) - 1
    # An account's values without the days that it has no forecast of, at the front.
    packed = np.zeros_like(values)
    packed[np.nonzero(scored)[0], rank[scored]] = values[scored]
    draw = np.random.default_rng(seed)
    rows = np.arange(len(values))[:, None]
    moved = np.empty(_SHIFTS)
    for number in range(_SHIFTS):
        shift = draw.integers(0, np.maximum(counts, 1))[:, None]
        shifted = np.where(scored, packed[rows, (rank + shift) % np.maximum(counts, 1)[:, None]], 0.0)
        moved[number] = (shifted.sum(axis=0) ** 2).sum()
    expected = float(moved.mean())
    # Sums in another order differ in their last digits.
    as_large = int((moved >= found * (1 - 1e-9)).sum())
    return found / expected if expected > 0 else 1.0, (1 + as_large) / (1 + _SHIFTS)


def shared_miss_rows(
    origins: Origins, forecaster: str, scored: NDArray[np.bool_], side: NDArray[np.int8]
) -> pl.DataFrame:
    """Return the table SHARED_MISSES of one forecaster: a row a horizon.

    Shapes as in `month_rows`. Accounts with fewer than LEAST_PERIODS forecasts are left out. With fewer accounts than
    LEAST_ACCOUNTS, or fewer separate periods than LEAST_PERIODS, the ratio, the chance and `is_shared` are null.
    """
    (_, members), *_ = groups(origins.grid, ALL)
    rows = []
    for place, horizon in enumerate(origins.horizons):
        known = [row for row in members if scored[row, place].sum() >= LEAST_PERIODS]
        from_days = [origins.columns[number] for number in np.flatnonzero(scored[members, place].any(axis=0))]
        if not from_days:
            continue
        apart = separate(from_days, horizon)
        ratio = chance = is_shared = None
        if len(known) >= LEAST_ACCOUNTS and apart >= LEAST_PERIODS:
            picked = [known[at] for at in np.unique(np.linspace(0, len(known) - 1, _MOST_ACCOUNTS).astype(int))]
            ratio, chance = miss_variance(scored[picked, place], side[picked, place])
            is_shared = ratio >= LEAST_VARIANCE_RATIO and chance <= LARGEST_CHANCE
        rows.append((forecaster, horizon, len(known), len(from_days), apart, ratio, chance, is_shared))
    return pl.DataFrame(rows, schema=SHARED_MISSES, orient="row")
