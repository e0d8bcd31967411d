"""Step 5c: average the drift of each group, and the shape of all shocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.level_drift import LevelDrift
from pipeline.forecasts.engine.pool import SHOCK_PROBABILITIES, pooled_variance, prior_excess, uninformed_pool
from pipeline.forecasts.engine.roughness_groups import RoughnessGroups
from pipeline.forecasts.engine.weekly_levels import WeeklyLevels

_PRIOR_ACCOUNTS: Final = 3
"""Accounts that a group's prior variance counts as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledDrift:
    """The drift of the teachers' levels: of each group, and shrunk towards it."""

    excess: Floats
    """(groups,): as in Pool."""
    shocks: Floats
    """(SHOCK_PROBABILITIES,): as in Pool."""
    deviations: Floats
    """(teachers,): log standard deviation of each level over four weeks."""


def pool_drift(weekly: WeeklyLevels, groups: RoughnessGroups, drift: LevelDrift) -> PooledDrift:
    """Average the drift of the teachers, of which `weekly`, `groups` and `drift` hold the same n rows."""
    excess = np.array([_relative_excess(drift, weekly.roughness, group) for group in groups.members])
    sizes = drift.shocks[np.isfinite(drift.shocks)]
    return PooledDrift(
        excess=excess,
        shocks=np.quantile(sizes, SHOCK_PROBABILITIES) if len(sizes) else uninformed_pool().shocks,
        deviations=drift.deviation(pooled_variance(groups.roughness, excess, weekly.roughness)),
    )


def _relative_excess(drift: LevelDrift, roughness: Floats, group: NDArray[np.int64]) -> float:
    """Return the variance of a group's level relative to `prior_excess`, shrunk towards 1."""
    measured = group[drift.origins[group] > 0]
    prior = prior_excess(roughness[measured])
    pseudo = _PRIOR_ACCOUNTS * float(prior_excess(roughness[group].mean()))
    return float(drift.excess[measured].sum() + pseudo) / float(prior.sum() + pseudo)
