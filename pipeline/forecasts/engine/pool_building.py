"""Step 5: build the pool from all accounts together, in steps of their own."""

from __future__ import annotations

from pipeline.forecasts.engine.calibration import calibrated_widths
from pipeline.forecasts.engine.level_drift import level_drift
from pipeline.forecasts.engine.pool import Pool, between_knots, uninformed_pool
from pipeline.forecasts.engine.pooled_drift import pool_drift
from pipeline.forecasts.engine.regimes import Regimes
from pipeline.forecasts.engine.roughness_groups import group_by_roughness
from pipeline.forecasts.engine.teachers import choose_teachers
from pipeline.forecasts.engine.weekly_levels import weekly_levels


def build_pool(regimes: Regimes) -> Pool:
    """Learn from all accounts with four weeks or more; whatever else `regimes` holds changes no number."""
    teachers = choose_teachers(regimes)
    if not teachers.ids:
        return uninformed_pool()
    weekly = weekly_levels(teachers.days)
    groups = group_by_roughness(weekly)
    drift = level_drift(weekly, between_knots(groups.roughness, groups.errors, weekly.roughness))
    pooled = pool_drift(weekly, groups, drift)
    return Pool(
        roughness=groups.roughness,
        errors=groups.errors,
        excess=pooled.excess,
        widths=calibrated_widths(teachers, weekly, drift, pooled, groups),
        shocks=pooled.shocks,
        donors=teachers.donors,
        levels=teachers.levels,
    )
