"""Step 5: build the pool from the teachers, in steps of their own."""

from __future__ import annotations

import numpy as np

from pipeline.forecasts.engine.calibration import calibrated_widths
from pipeline.forecasts.engine.level_drift import level_drift, memory_weights
from pipeline.forecasts.engine.pool import Pool, between_knots, season_numbers, shared_errors_of, uninformed_pool
from pipeline.forecasts.engine.pooled_drift import pool_drift
from pipeline.forecasts.engine.roughness_groups import group_by_roughness
from pipeline.forecasts.engine.shared_moves import shared_moves
from pipeline.forecasts.engine.teachers import Teachers
from pipeline.forecasts.engine.weekly_levels import weekly_levels


def build_pool(teachers: Teachers) -> Pool:
    """Learn from the teachers, all of which have four weeks or more."""
    if not teachers.ids:
        return uninformed_pool()
    weekly = weekly_levels(teachers.days)
    groups = group_by_roughness(weekly)
    weights = memory_weights(weekly, between_knots(groups.roughness, groups.errors, weekly.roughness))
    moves = shared_moves(teachers, weekly, weights)
    month = {scope: errors[1] for scope, errors in moves.errors.items()}
    drift = level_drift(weekly, weights, shared_errors_of(month, teachers.vendors, weekly.calendar))
    pooled = pool_drift(weekly, groups, drift)
    return Pool(
        roughness=groups.roughness,
        errors=groups.errors,
        excess=pooled.excess,
        widths=calibrated_widths(teachers, weekly, drift, pooled, groups, moves),
        shocks=pooled.shocks,
        donors=teachers.donors,
        levels=teachers.levels,
        shared={scope: np.append(found.logs, found.freedom) for scope, found in moves.deviations.items()},
        shared_errors=month,
        season=season_numbers(moves.season),
    )
