"""Step 3: summarize each account's weeks: its level at six time constants, and how well each predicted the past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats, mean_where
from pipeline.forecasts.engine.regimes import FULL_DAYS

TIME_CONSTANTS: Final = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 20.0])
"""Time constants of the level's exponentially weighted means, in weeks: from almost the last week alone to almost half
a year, each about twice the one before."""

BLOCK_TIME_CONSTANTS: Final = np.clip(1.7 * TIME_CONSTANTS, 2.5, 24.0)
"""Time constants of the weights with which past weeks are drawn as blocks, in weeks, one for each of TIME_CONSTANTS. An
account that keeps its level keeps its weekly pattern, and a pattern takes more weeks to be seen than a level."""

BLOCK_WEEKS: Final = 26
"""Weeks that blocks are drawn from: half a year."""

ORIGINS: Final = 21
"""Newest past origins whose predictions are compared with what followed: with four weeks after the last one, half a
year."""

LOOKAHEAD_WEEKS: Final = 4
"""Weeks after an origin that its prediction is compared with: about the month that totals are asked for."""

_LEAST_UNCERTAINTY: Final = 0.15
"""Log standard deviation of a level that few days support, if these days are all alike."""

_LEAST_DAYS: Final = 3
"""Observed days from which a week counts: with fewer, one of them decides the week's mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyLevels:
    """Statistics of n accounts over w weeks; the last week is the newest observed one.

    Weeks without enough observed days are left out and the others moved up: a gap must not look like a fall. Amounts
    are multiples of `mean` unless stated otherwise.
    """

    mean: Floats
    """(n,): mean spend a week, in money; 1 where there was none."""
    blocks: Floats
    """(n, w, 7): days; unobserved ones have the mean of their week."""
    sums: Floats
    """(n, w): spend a week without refunds."""
    week_counts: NDArray[np.int64]
    """(n,): observed weeks; they are the last ones of `sums`."""
    calendar: NDArray[np.int64]
    """(n, w): the week of the calendar that each of them is: a column of `days`, divided by 7."""
    weeks_since: NDArray[np.int64]
    """(n,): weeks between the newest observed one and `as_of`."""
    levels: Floats
    """(TIME_CONSTANTS, n, w): exponentially weighted mean at the end of each week."""
    following: Floats
    """(n, w): mean of the `lookahead` weeks after each week, NaN where they are not known or not compared."""
    lookahead: NDArray[np.int64]
    """(n,): weeks in that mean: 4, or 2 or 1 for short histories."""
    log_offset: Floats
    """(n, w): a tenth of the mean up to each week; added before a logarithm, it limits the effect of tiny amounts."""
    errors: Floats
    """(n, TIME_CONSTANTS): mean error of each time constant at past origins; 0 where there was none."""
    block_means: Floats
    """(TIME_CONSTANTS, n): expected value of a block that is drawn now."""
    block_variances: Floats
    """(TIME_CONSTANTS, n): variance of a drawn block divided by its squared mean."""
    roughness: Floats
    """(n,): squared coefficient of variation of the weeks; 0 for a constant account."""
    level_uncertainty: Floats
    """(n,): log standard deviation of today's level because few days support it; 0 from FULL_DAYS on."""
    highest_day: Floats
    """(n,): the most that a day cost, in money; 0 where all are below."""


def weekly_levels(days: Floats) -> WeeklyLevels:
    """Summarize `days`, (n, weeks x 7) in money with NaN where unobserved; each account needs one observed day."""
    weeks, week_counts, weeks_since, calendar = observed_weeks(days)
    count, width = weeks.shape[:2]
    position = np.arange(width)
    is_observed = position >= width - week_counts[:, None]
    # Refunds are no level: a day below zero stays in its block, and counts as nothing here.
    sums = np.maximum(weeks, 0.0).sum(axis=2)
    mean = sums.sum(axis=1) / np.maximum(week_counts, 1)
    mean = np.where(mean > 0, mean, 1.0)
    sums = sums / mean[:, None]
    levels = weighted_means(sums, is_observed, TIME_CONSTANTS)
    age = np.cumsum(is_observed, axis=1)
    mean_so_far = np.cumsum(sums, axis=1) / np.maximum(age, 1)

    # With four weeks ahead, ten weeks have six origins; shorter histories look less far ahead to have any.
    lookahead = np.where(week_counts >= 10, LOOKAHEAD_WEEKS, np.where(week_counts >= 6, 2, 1))
    following = np.full((count, width), np.nan)
    for weeks_ahead in (1, 2, LOOKAHEAD_WEEKS):
        rows = lookahead == weeks_ahead
        next_weeks = sum(sums[rows, 1 + step : width - weeks_ahead + 1 + step] for step in range(weeks_ahead))
        following[rows, : width - weeks_ahead] = next_weeks / weeks_ahead
    is_known = np.isfinite(following) & (age >= 2)
    is_known &= np.cumsum(is_known[:, ::-1], axis=1)[:, ::-1] <= ORIGINS
    following = np.where(is_known, following, np.nan)

    # The squared difference of roots: between the squared error, which one giant week decides, and the logarithm,
    # which a week of nothing decides.
    misses = (np.sqrt(np.where(is_known, following, 0.0)) - np.sqrt(levels)) ** 2
    errors = np.stack([mean_where(miss, is_known, 0.0) for miss in misses], axis=1)
    is_recent = is_observed & (position >= width - BLOCK_WEEKS)
    centre = mean_where(sums, is_recent, 0.0)
    variance = mean_where((sums - centre[:, None]) ** 2, is_recent, 0.0)
    block_means, block_variances = _block_statistics(sums, week_counts)
    return WeeklyLevels(
        mean=mean,
        blocks=weeks / mean[:, None, None],
        sums=sums,
        week_counts=week_counts,
        calendar=calendar,
        weeks_since=weeks_since,
        levels=levels,
        following=following,
        lookahead=lookahead,
        log_offset=0.1 * mean_so_far,
        errors=errors,
        block_means=block_means,
        block_variances=block_variances,
        roughness=variance / np.maximum(centre, 1e-9) ** 2,
        level_uncertainty=_level_uncertainty(days),
        highest_day=np.where(np.isfinite(days), days, 0.0).max(axis=1),
    )


def observed_weeks(days: Floats) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Split `days`, (n, w x 7), into weeks, and move the observed ones to the end.

    Returns (n, w, 7) with zeros before the first observed week, (n,) how many are observed, (n,) how many weeks ago the
    newest was, and (n, w) where each week has been before.
    """
    weeks = days.reshape(len(days), -1, 7)
    is_known = np.isfinite(weeks)
    counts = is_known.sum(axis=2)
    is_valid = counts >= _LEAST_DAYS
    # Where days are so rare that no week has enough, any week with a day has to do.
    is_valid = np.where(is_valid.any(axis=1, keepdims=True), is_valid, counts >= 1)
    means = np.where(is_known, weeks, 0.0).sum(axis=2) / np.maximum(counts, 1)
    filled = np.where(is_known, weeks, means[:, :, None])
    order = np.argsort(is_valid, axis=1, kind="stable")
    moved = np.take_along_axis(np.where(is_valid[:, :, None], filled, 0.0), order[:, :, None], axis=1)
    return moved, is_valid.sum(axis=1), is_valid[:, ::-1].argmax(axis=1), order


def weighted_means(sums: Floats, is_observed: NDArray[np.bool_], time_constants: Floats) -> Floats:
    """Return (time constants, n, w): the exponentially weighted mean of `sums`, (n, w), up to each week; 0 before."""
    means = np.zeros((len(time_constants), *sums.shape))
    decay = np.exp(-1.0 / time_constants)[:, None]
    weighted_sum, weight = np.zeros((2, len(time_constants), len(sums)))
    for week in range(sums.shape[1]):
        weighted_sum = weighted_sum * decay + sums[:, week]
        weight = weight * decay + is_observed[:, week]
        means[:, :, week] = weighted_sum / np.maximum(weight, 1e-300)
    return means


def _block_statistics(sums: Floats, week_counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the mean and the relative variance of a drawn block: two of (TIME_CONSTANTS, n), from `sums`, (n, w)."""
    age = np.arange(sums.shape[1])[::-1]
    is_drawable = age < np.minimum(week_counts, BLOCK_WEEKS)[:, None]
    weights = np.exp(-age / BLOCK_TIME_CONSTANTS[:, None])[:, None, :] * is_drawable
    probabilities = weights / np.maximum(weights.sum(axis=2, keepdims=True), 1e-300)
    means = (probabilities * sums).sum(axis=2)
    deviations = sums / np.where(means > 0, means, np.inf)[:, :, None] - (means > 0)[:, :, None]
    return means, (probabilities * deviations**2).sum(axis=2)


def _level_uncertainty(days: Floats) -> Floats:
    known = np.isfinite(days)
    count = np.maximum(known.sum(axis=1), 1)
    mean = mean_where(days, known, 0.0)
    variance = mean_where((days - mean[:, None]) ** 2, known, 0.0)
    variation = np.where(mean > 0, variance / np.where(mean > 0, mean, 1.0) ** 2, 0.0)
    scarcity = np.maximum(1.0 - count / FULL_DAYS, 0.0)
    uncertainty: Floats = np.sqrt(scarcity * (np.minimum(variation / count, 1.0) + _LEAST_UNCERTAINTY**2))
    return uncertainty
