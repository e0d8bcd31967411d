"""What each account's own weeks say: its level at several memories, and how wrong each memory was before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.histories import Floats

TAUS: Final = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 20.0])
"""Memories of the level, in weeks: from nearly the last week alone to nearly half a year."""

AGES: Final = np.clip(1.7 * TAUS, 2.5, 24.0)
"""Memories of the shape, in weeks, one for each of the level: who keeps his level keeps his habits, and a habit takes
more weeks to be seen than a level."""

BLOCK_WEEKS: Final = 26
"""Weeks that blocks are drawn from: half a year."""

ORIGINS: Final = 21
"""Past origins that are looked back from, the newest ones."""

LOOK: Final = 4
"""Weeks that an origin looks ahead: about the month that totals are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Statistics of n accounts over w weeks; the last week is the newest one observed. Amounts are over `mean`.

    Weeks without enough observed days are left out and the others moved up, so a gap is a seam and not a fall.
    """

    mean: Floats
    """(n,): mean spend a week, in money; 1 where there was none."""
    blocks: Floats
    """(n, w, 7): days, unobserved ones filled by their week's mean."""
    sums: Floats
    """(n, w): spend a week without refunds."""
    seen: NDArray[np.int64]
    """(n,): weeks that are there; they are the last ones."""
    stale: NDArray[np.int64]
    """(n,): weeks between the newest one and `as_of`."""
    memories: Floats
    """(taus, n, w): the level as each memory knew it at the end of each week."""
    came: Floats
    """(n, w): the mean of the weeks after each, NaN where that cannot be looked back on."""
    ahead: NDArray[np.int64]
    """(n,): how many weeks that mean is of: 4, or 2 or 1 where there are few."""
    guard: Floats
    """(n, w): what keeps a logarithm from making a drama of next to nothing: a tenth of the mean so far."""
    errors: Floats
    """(n, taus): how wrong each memory was at past origins; 0 where no origin could tell."""
    roughness: Floats
    """(n,): squared coefficient of variation of the weeks; 0 for a constant account."""


def weeks_of(days: Floats) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Weeks moved up to the end, (n, w, 7) with zeros before the first; how many are there; weeks since the newest."""
    weeks = days.reshape(len(days), -1, 7)
    is_known = np.isfinite(weeks)
    counts = is_known.sum(axis=2)
    is_valid = counts >= 3
    # Where days are so rare that no week has three, any week with a day has to do.
    is_valid = np.where(is_valid.any(axis=1, keepdims=True), is_valid, counts >= 1)
    means = np.where(is_known, weeks, 0.0).sum(axis=2) / np.maximum(counts, 1)
    filled = np.where(is_known, weeks, means[:, :, None])
    seen = is_valid.sum(axis=1)
    order = np.argsort(is_valid, axis=1, kind="stable")
    moved = np.take_along_axis(np.where(is_valid[:, :, None], filled, 0.0), order[:, :, None], axis=1)
    return moved, seen, is_valid[:, ::-1].argmax(axis=1)


def log_ratio(top: Floats, bottom: Floats) -> Floats:
    """ln(top / bottom) within +-3, 0 where both are nothing."""
    both = (top > 0) & (bottom > 0)
    ratio = np.divide(top, bottom, out=np.ones(np.broadcast_shapes(top.shape, bottom.shape)), where=both)
    ratio = np.where((top > 0) & ~both, np.exp(3.0), np.where((bottom > 0) & ~both, np.exp(-3.0), ratio))
    return np.clip(np.log(ratio), -3.0, 3.0)


def mean_where(values: Floats, is_known: NDArray[np.bool_], default: float) -> Floats:
    """The mean of the last axis over what is known, `default` where nothing is."""
    counts = is_known.sum(axis=-1)
    means = np.where(is_known, values, 0.0).sum(axis=-1) / np.maximum(counts, 1)
    return np.where(counts > 0, means, default)


def remember(sums: Floats, is_there: NDArray[np.bool_], taus: Floats) -> Floats:
    """(taus, n, w): the exponentially weighted mean of the weeks up to each; 0 before the first."""
    levels = np.zeros((len(taus), *sums.shape))
    fade = np.exp(-1.0 / taus)[:, None]
    above, below = np.zeros((2, len(taus), len(sums)))
    for week in range(sums.shape[1]):
        above = above * fade + sums[:, week]
        below = below * fade + is_there[:, week]
        levels[:, :, week] = above / np.maximum(below, 1e-300)
    return levels


def learn(days: Floats) -> Learned:
    """Look back over `days`, (n, weeks x 7); at least one observed day of each account."""
    weeks, seen, stale = weeks_of(days)
    count, width = weeks.shape[:2]
    place = np.arange(width)
    is_there = place >= width - seen[:, None]
    # Refunds are no level: a day below zero stays in its block, and counts as nothing here.
    sums = np.maximum(weeks, 0.0).sum(axis=2)
    mean = sums.sum(axis=1) / np.maximum(seen, 1)
    mean = np.where(mean > 0, mean, 1.0)
    sums = sums / mean[:, None]
    memories = remember(sums, is_there, TAUS)
    age = np.cumsum(is_there, axis=1)
    before = np.cumsum(sums, axis=1) / np.maximum(age, 1)

    ahead = np.where(seen >= 10, LOOK, np.where(seen >= 6, 2, 1))
    came = np.full((count, width), np.nan)
    for look in (1, 2, LOOK):
        rows = ahead == look
        following = sum(sums[rows, 1 + step : width - look + 1 + step] for step in range(look)) / look
        came[rows, : width - look] = following
    is_known = np.isfinite(came) & (age >= 2)
    is_known &= np.cumsum(is_known[:, ::-1], axis=1)[:, ::-1] <= ORIGINS
    came = np.where(is_known, came, np.nan)

    # The square of the difference of roots: between the square, which one giant week decides, and the logarithm,
    # which a week of nothing decides.
    misses = (np.sqrt(np.where(is_known, came, 0.0)) - np.sqrt(memories)) ** 2
    errors = np.stack([mean_where(miss, is_known, 0.0) for miss in misses], axis=1)
    recent = is_there & (place >= width - BLOCK_WEEKS)
    centre = mean_where(sums, recent, 0.0)
    variance = mean_where((sums - centre[:, None]) ** 2, recent, 0.0)
    return Learned(
        mean=mean,
        blocks=weeks / mean[:, None, None],
        sums=sums,
        seen=seen,
        stale=stale,
        memories=memories,
        came=came,
        ahead=ahead,
        guard=0.1 * before,
        errors=errors,
        roughness=variance / np.maximum(centre, 1e-9) ** 2,
    )


def relative(errors: Floats) -> Floats:
    """Errors over the mean of all memories' (the last axis); 1 where there were none."""
    mean = errors.mean(axis=-1, keepdims=True)
    return np.where(mean > 1e-12, errors / np.maximum(mean, 1e-12), 1.0)


_OWN_VOICE: Final = 3.0
_SHARED_VOICE: Final = 15.0
"""How sharply the weights of the memories answer to their errors; twice and half of either came out much alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wander:
    """How the level of n accounts has wandered beyond what blocks and memories explain."""

    weights: Floats
    """(n, taus): the chance of each memory."""
    excess: Floats
    """(n,): variance of the log of four weeks' mean, over what was explained; 0 where no origin could tell."""
    origins: Floats
    """(n,): past origins that do not overlap."""
    shocks: Floats
    """(n, w): sizes of past errors over their own root mean square, NaN where there were none."""


def wander(learned: Learned, pooled_errors: Floats) -> Wander:
    """Weigh the memories by the account's errors and by those of accounts alike, (n, taus), and look at the misses."""
    # What accounts alike agree on counts five times what one account seems to show: its few origins overlap.
    drift = -_OWN_VOICE * relative(learned.errors) - _SHARED_VOICE * pooled_errors
    weights = np.exp(drift - drift.max(axis=1, keepdims=True))
    weights = weights / weights.sum(axis=1, keepdims=True)
    parts = weights.T[:, :, None]
    expected = (parts * learned.memories).sum(axis=0)
    is_known = np.isfinite(learned.came)
    guard = learned.guard
    residuals = log_ratio(np.where(is_known, learned.came, expected) + guard, expected + guard)
    between = (parts * log_ratio(learned.memories + guard, expected + guard) ** 2).sum(axis=0)

    ahead = learned.ahead.astype(np.float64)
    volatility = _volatility(learned, weights)
    # A factor that grows as .3 + .7 w / 2.5 has a variance of 1 over four weeks, and less over fewer.
    steps = np.where(learned.ahead == LOOK, 30.0, np.where(learned.ahead == 2, 5.0, 1.0))
    share = 0.3 + 0.7 * steps / ahead**2 / 1.875
    squares = mean_where(np.minimum(residuals**2, 2.0), is_known, 0.0)
    explained = mean_where(between, is_known, 0.0) + volatility / ahead
    size = np.sqrt(mean_where(residuals**2, is_known, 1.0))
    known = is_known.sum(axis=1)
    return Wander(
        weights=weights,
        # An account that stopped has blocks that explain anything; it must not speak for those that go on.
        excess=np.where(known > 0, np.maximum((squares - explained) / share, -0.1), 0.0),
        origins=known / ahead,
        shocks=np.where(is_known, np.abs(residuals) / np.maximum(size, 1e-6)[:, None], np.nan),
    )


def block_chances(seen: NDArray[np.int64], width: int) -> Floats:
    """(taus, n, w): the chance of each week to be drawn, by the memory that a path has."""
    age = np.arange(width)[::-1]
    there = age < np.minimum(seen, BLOCK_WEEKS)[:, None]
    chances = np.exp(-age / AGES[:, None])[:, None, :] * there
    scaled: Floats = chances / np.maximum(chances.sum(axis=2, keepdims=True), 1e-300)
    return scaled


def _volatility(learned: Learned, weights: Floats) -> Floats:
    """(n,): variance of a drawn week over its mean, which blocks alone bring into the paths."""
    chances = block_chances(learned.seen, learned.sums.shape[1])
    centre = (chances * learned.sums).sum(axis=2)
    scaled = learned.sums / np.where(centre > 0, centre, np.inf)[:, :, None] - (centre > 0)[:, :, None]
    found: Floats = (weights.T * (chances * scaled**2).sum(axis=2)).sum(axis=0)
    return found
