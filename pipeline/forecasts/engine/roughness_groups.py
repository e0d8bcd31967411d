"""Step 5b: group the teachers by roughness, and average the errors of each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats, relative_to_mean
from pipeline.forecasts.engine.weekly_levels import WeeklyLevels

_GROUP_SIZE: Final = 35
"""Accounts of a group; fewer would copy each other's accidents."""

_MOST_GROUPS: Final = 12
"""Groups, and so knots, at most: the pool stays at some hundred numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoughnessGroups:
    """Teachers of about the same roughness; each group is one knot of the pool."""

    members: list[NDArray[np.int64]]
    """Rows of the teachers, from the smoothest group to the roughest."""
    roughness: Floats
    """(groups,): the mean of each, rising."""
    errors: Floats
    """(groups, TIME_CONSTANTS): as in Pool."""


def group_by_roughness(weekly: WeeklyLevels) -> RoughnessGroups:
    """Split the teachers into groups of neighbours in roughness, and average the errors of each."""
    order = np.argsort(weekly.roughness, kind="stable")
    members = np.array_split(order, int(np.clip(len(order) // _GROUP_SIZE, 1, _MOST_GROUPS)))
    errors = np.stack([_pooled_errors(weekly, group) for group in members])
    return RoughnessGroups(
        members=members,
        roughness=np.array([weekly.roughness[group].mean() for group in members]),
        # Half of the errors are everybody's: which time constant is best in one group is partly a matter of luck.
        errors=0.5 * errors + 0.5 * _pooled_errors(weekly, np.arange(len(order))),
    )


def _pooled_errors(weekly: WeeklyLevels, group: NDArray[np.int64]) -> Floats:
    # Added up before they are compared: an account that every time constant predicts well has little to say.
    return relative_to_mean(weekly.errors[group].mean(axis=0))
