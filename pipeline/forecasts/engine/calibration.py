"""Step 5d: calibrate the width of the paths, so that past totals would have had the nominal coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.level_drift import LevelDrift
from pipeline.forecasts.engine.pool import WIDTH_WEEKS, shared_errors_of
from pipeline.forecasts.engine.pooled_drift import PooledDrift
from pipeline.forecasts.engine.roughness_groups import RoughnessGroups
from pipeline.forecasts.engine.sampling import (
    draw_block_ages,
    draw_shocks,
    draw_time_constants,
    generator,
    level_factors,
)
from pipeline.forecasts.engine.shared_moves import SharedMoves
from pipeline.forecasts.engine.teachers import Teachers
from pipeline.forecasts.engine.weekly_levels import (
    BLOCK_TIME_CONSTANTS,
    BLOCK_WEEKS,
    WeeklyLevels,
    weighted_means,
)

_PATHS: Final = 96
"""Sample paths of each past origin: their ranks are averaged over hundreds of origins, so that few suffice."""

_LEAST_WEEKS: Final = 6
"""Weeks that an origin needs behind it."""

_ORIGIN_STEP, _ORIGIN_REACH = 2, 20
"""Every second week of the newest 20 is an origin: neighbours overlap, and tell little more for twice the time."""

_FACTORS: Final = np.array([0.0, 0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.1, 3.0])
"""Widths that are tried, as factors of the level's standard deviation."""

_SMALLEST_FACTOR: Final = 0.15

_BANDS: Final = ((0.1, 0.9), (0.025, 0.975))
"""Ranks between which a total is inside the 80 % and the 95 % band."""

_WANTED_COVERAGE: Final = 0.80 + 0.95
"""Coverage of the two bands, added up: of what is the accounts' own. Shared moves widen the bands beyond it."""

_TRUST: Final = (0.5, 0.85, 0.7)
"""Share of the measured log width that is used, for each of WIDTH_WEEKS. Single days dominate the totals of one week,
and few totals of twelve weeks are known, most of which overlap."""

_PRIOR_ACCOUNTS: Final = 5.0
"""Accounts that a width of 1 counts as in each group."""

_LOG_LIMITS: Final = (np.log(0.4), np.log(1.5))
"""Limits of a log width. Beyond them single giant days fall outside, which no drift of the level explains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PastAccount:
    """One account as it could have been forecast at past origins; amounts are multiples of its mean week."""

    week_count: int
    sums: Floats
    """(w,)"""
    levels: Floats
    """(TIME_CONSTANTS, w)"""
    block_means: Floats
    """(TIME_CONSTANTS, w): mean of the blocks that could be drawn at the end of each week."""
    weights: Floats
    """(TIME_CONSTANTS,)"""
    deviation: float
    shared: Floats
    """(WIDTH_WEEKS, w): what the totals after each week are divided by."""


def calibrated_widths(
    teachers: Teachers,
    weekly: WeeklyLevels,
    drift: LevelDrift,
    pooled: PooledDrift,
    groups: RoughnessGroups,
    moves: SharedMoves,
) -> Floats:
    """Return (groups, WIDTH_WEEKS): log of the factor on the level's deviation that gives the wanted coverage.

    Each teacher is forecast again from past origins with each of _FACTORS. What all accounts missed is taken out of
    what came: it is no lesson about single accounts. All arguments hold the same n teachers.
    """
    accounts = _past_accounts(teachers, weekly, drift, pooled, moves)
    inside, counts = _covered(teachers.ids, accounts, pooled.shocks)
    logs = np.zeros((len(groups.members), len(WIDTH_WEEKS)))
    for knot, group in enumerate(groups.members):
        for number in range(len(WIDTH_WEEKS)):
            is_measured = counts[number, group] > 0
            if is_measured.any():
                coverage = inside[number][:, group].sum(axis=1) / counts[number, group].sum()
                trust = _TRUST[number] * is_measured.sum() / (is_measured.sum() + _PRIOR_ACCOUNTS)
                logs[knot, number] = np.clip(trust * np.log(_sufficient_factor(coverage)), *_LOG_LIMITS)
    return logs


def _past_accounts(
    teachers: Teachers, weekly: WeeklyLevels, drift: LevelDrift, pooled: PooledDrift, moves: SharedMoves
) -> list[_PastAccount]:
    width = weekly.sums.shape[1]
    is_observed = np.arange(width) >= width - weekly.week_counts[:, None]
    block_means = weighted_means(weekly.sums, is_observed, BLOCK_TIME_CONSTANTS)
    shared = np.stack(
        [
            shared_errors_of(
                {scope: errors[number] for scope, errors in moves.errors.items()}, teachers.vendors, weekly.calendar
            )
            for number in range(len(WIDTH_WEEKS))
        ]
    )
    shared = np.exp(drift.exposures[:, None] * shared)
    return [
        _PastAccount(
            week_count=int(weekly.week_counts[row]),
            sums=weekly.sums[row],
            levels=weekly.levels[:, row],
            block_means=block_means[:, row],
            weights=drift.weights[row],
            deviation=float(pooled.deviations[row]),
            shared=shared[:, row],
        )
        for row in range(len(weekly.sums))
    ]


def _covered(ids: list[str], accounts: list[_PastAccount], shocks: Floats) -> tuple[Floats, Floats]:
    """Return (WIDTH_WEEKS, _FACTORS, n): totals inside each of the bands, added up; (WIDTH_WEEKS, n): all totals."""
    inside = np.zeros((len(WIDTH_WEEKS), len(_FACTORS), len(accounts)))
    counts = np.zeros((len(WIDTH_WEEKS), len(accounts)))
    for row, account in enumerate(accounts):
        rng = generator(ids[row], stream=1)
        for number, weeks in enumerate(WIDTH_WEEKS):
            ranks = _ranks(account, weeks, shocks, rng)
            for low, high in _BANDS:
                inside[number, :, row] += ((ranks >= low) & (ranks <= high)).sum(axis=1)
            counts[number, row] = ranks.shape[1]
    return inside, counts


def _sufficient_factor(coverage: Floats) -> float:
    """Return the factor at which `coverage`, one value for each of _FACTORS, reaches the wanted one."""
    rising = np.maximum.accumulate(coverage)
    if rising[0] >= _WANTED_COVERAGE:
        return _SMALLEST_FACTOR
    if rising[-1] < _WANTED_COVERAGE:
        return float(_FACTORS[-1])
    return max(float(np.interp(_WANTED_COVERAGE, rising, _FACTORS)), _SMALLEST_FACTOR)


def _ranks(account: _PastAccount, weeks: int, shock_quantiles: Floats, rng: np.random.Generator) -> Floats:
    """Return (_FACTORS, origins): the rank, 0 to 1, of the total of `weeks` after each origin among sample paths."""
    behind, origins = _origins(account, weeks)
    shape = (len(origins), _PATHS)
    constants = draw_time_constants(rng, account.weights, shape)
    reach = np.minimum(behind, BLOCK_WEEKS)[:, None, None]
    ages = draw_block_ages(rng, BLOCK_TIME_CONSTANTS[constants][:, :, None], reach, (*shape, weeks))
    drawn = account.sums[origins[:, None, None] - ages]
    block_mean = account.block_means[constants, origins[:, None]]
    level = account.levels[constants, origins[:, None]]
    # A level relative to the blocks' mean scales the blocks to that level.
    scale = np.where(block_mean > 0, level / np.where(block_mean > 0, block_mean, 1.0), 0.0)
    # Weeks first, so that the sum over them adds long rows.
    base = np.ascontiguousarray(np.moveaxis(drawn * scale[:, :, None], 2, 0))
    shocks = draw_shocks(rng, shock_quantiles, shape)
    observed = (
        np.stack([account.sums[end + 1 : end + 1 + weeks].sum() for end in origins]) if len(origins) else np.zeros(0)
    )
    observed = observed / account.shared[WIDTH_WEEKS.index(weeks), origins]
    tie_break = rng.random(len(origins))
    tolerance = 1e-9 * observed[:, None]
    by_week = level_factors(account.deviation * np.repeat(_FACTORS[:, None], weeks, axis=1), shocks)
    by_week *= base
    totals = by_week.sum(axis=1)
    below = (totals < observed[:, None] - tolerance).mean(axis=2)
    equal = (np.abs(totals - observed[:, None]) <= tolerance).mean(axis=2)
    ranks: Floats = below + tie_break * equal
    return ranks


def _origins(account: _PastAccount, weeks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each past origin how many weeks are behind it, and its position in `sums`."""
    behind = account.week_count - weeks - np.arange(0, _ORIGIN_REACH, _ORIGIN_STEP)
    behind = behind[behind >= _LEAST_WEEKS]
    origins = len(account.sums) - 1 - account.week_count + behind
    # An origin at which nothing had been spent yet has nothing to forecast from.
    has_spend = np.array([account.sums[: end + 1].sum() > 0 for end in origins], dtype=bool)
    return behind[has_spend], origins[has_spend]
