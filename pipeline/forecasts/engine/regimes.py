"""Where an account's level has changed for good, what was before says nothing of what comes."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.forecasts.engine.histories import Floats

_FACTOR: Final = 3.0
"""Every week since must lie this far from every week before, and no two weeks of one level so far from each other: two
plateaus, which noise does not make. Where weeks are of every size, older ones are still worth something."""
_SINCE_WEEKS: Final = (4, 26)
"""Fewer weeks may be a spike yet; after more, the memories have forgotten what was before by themselves."""
_BEFORE_WEEKS: Final = (6, 13)
"""How many weeks before must be known, and how many are looked at."""
_KNOWN_DAYS: Final = 3


def newest_regime(days: Floats) -> Floats:
    """The days since the newest change of level, (n, weeks x 7); those before it are NaN, as if unobserved.

    A change is told where the weekly means since and before do not come near each other, the week in which it
    happened left out. A stop is none: after weeks without spend nobody knows whether it comes back.
    """
    weeks = days.reshape(len(days), days.shape[1] // 7, 7)
    is_known = np.isfinite(weeks)
    counts = is_known.sum(axis=2)
    means = np.where(is_known, weeks, 0.0).sum(axis=2) / np.maximum(counts, 1)
    is_valid = counts >= _KNOWN_DAYS
    low, high = np.where(is_valid, means, np.inf), np.where(is_valid, means, -np.inf)
    since = np.zeros(len(days), dtype=np.int64)
    for length in range(_SINCE_WEEKS[0], min(_SINCE_WEEKS[1], weeks.shape[1] - _BEFORE_WEEKS[0] - 1) + 1):
        now, before = slice(-length, None), slice(max(weeks.shape[1] - length - 1 - _BEFORE_WEEKS[1], 0), -length - 1)
        is_told = is_valid[:, now].sum(axis=1) >= _SINCE_WEEKS[0]
        is_told &= is_valid[:, before].sum(axis=1) >= _BEFORE_WEEKS[0]
        least, most = low[:, now].min(axis=1), high[:, now].max(axis=1)
        lowest, highest = low[:, before].min(axis=1), high[:, before].max(axis=1)
        is_told &= (least > 0) & (lowest > 0)
        is_told &= (most < _FACTOR * least) & (highest < _FACTOR * lowest)
        is_told &= (least > _FACTOR * highest) | (_FACTOR * most < lowest)
        # Where the change fell between two weeks, none was left out: the first week since is found one step later.
        since = np.where(is_told & ((since == 0) | (since == length - 1)), length, since)
    is_old = (since > 0)[:, None] & (np.arange(weeks.shape[1]) < weeks.shape[1] - since[:, None])
    return np.where(np.repeat(is_old, 7, axis=1), np.nan, days)
