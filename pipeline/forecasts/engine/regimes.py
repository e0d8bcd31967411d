"""Step 2: cut each history at its newest level shift, and choose the method that the rest allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import Histories

FULL_DAYS, BLOCK_DAYS, OWN_DAYS = 84, 28, 7
"""Observed days from which each method is used. A week is the shortest block that has every weekday. From four weeks on
an account teaches the others (`teachers`). From twelve weeks on no uncertainty is added for a short history."""

_FACTOR: Final = 3.0
"""Every week since the shift must differ by this factor from every week before it, and the weeks on either side must
differ by less: two plateaus, which noise does not produce. Smaller factors cut noisy histories."""

_SINCE_WEEKS: Final = (4, 26)
"""Least and most weeks since the shift. Fewer can be a spike; after more, the longest average has forgotten the old
level by itself."""

_BEFORE_WEEKS: Final = (6, 13)
"""Least observed weeks before the shift, and how many of them are compared: a quarter."""

_LEAST_DAYS: Final = 3
"""Observed days that make a week comparable, as in `weekly_levels`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regimes:
    """Each account's history since its level last shifted."""

    histories: Histories
    days: Floats
    """(accounts, weeks x 7): spend a day, NaN before the shift and where nothing was observed."""
    is_cut: NDArray[np.bool_]
    """(accounts,): whether there was a shift."""
    history_days: NDArray[np.int64]
    """(accounts,): observed days since the shift."""
    methods: list[str]
    """One an account: full, blocks, weeks, donors, prior, or none where there is nothing to forecast from."""


def current_regimes(histories: Histories) -> Regimes:
    """Return what of each history still tells about the future. Never raises."""
    days = cut_at_level_shift(histories.days)
    left = np.isfinite(days).sum(axis=1)
    is_cut = left < np.isfinite(histories.days).sum(axis=1)
    history_days = np.where(is_cut, left, histories.history_days)
    usable_days = np.where(left > 0, history_days, 0)
    has_prior = np.isfinite(histories.priors)
    methods = [_method(int(count), has_prior=bool(has)) for count, has in zip(usable_days, has_prior, strict=True)]
    return Regimes(histories=histories, days=days, is_cut=is_cut, history_days=history_days, methods=methods)


def _method(history_days: int, *, has_prior: bool) -> str:
    if history_days >= FULL_DAYS:
        return "full"
    if history_days >= BLOCK_DAYS:
        return "blocks"
    if history_days >= OWN_DAYS:
        return "weeks"
    if history_days >= 1:
        return "donors"
    return "prior" if has_prior else "none"


def cut_at_level_shift(days: Floats) -> Floats:
    """Set the days before the newest level shift to NaN; `days` and the result are (accounts, weeks x 7).

    The result is `days` itself where no level has shifted.

    There is a shift where the weekly means before and since do not come near each other. The week in which it happened
    is left out of the comparison. A stop is no shift: after weeks without spend it is unknown whether it resumes.
    """
    weeks = days.reshape(len(days), days.shape[1] // 7, 7)
    is_known = np.isfinite(weeks)
    counts = is_known.sum(axis=2)
    means = np.where(is_known, weeks, 0.0).sum(axis=2) / np.maximum(counts, 1)
    is_valid = counts >= _LEAST_DAYS
    low, high = np.where(is_valid, means, np.inf), np.where(is_valid, means, -np.inf)
    since = np.zeros(len(days), dtype=np.int64)
    for length in range(_SINCE_WEEKS[0], min(_SINCE_WEEKS[1], weeks.shape[1] - _BEFORE_WEEKS[0] - 1) + 1):
        after, before = slice(-length, None), slice(max(weeks.shape[1] - length - 1 - _BEFORE_WEEKS[1], 0), -length - 1)
        is_shift = is_valid[:, after].sum(axis=1) >= _SINCE_WEEKS[0]
        is_shift &= is_valid[:, before].sum(axis=1) >= _BEFORE_WEEKS[0]
        low_after, high_after = low[:, after].min(axis=1), high[:, after].max(axis=1)
        low_before, high_before = low[:, before].min(axis=1), high[:, before].max(axis=1)
        is_shift &= (low_after > 0) & (low_before > 0)
        is_shift &= (high_after < _FACTOR * low_after) & (high_before < _FACTOR * low_before)
        is_shift &= (low_after > _FACTOR * high_before) | (_FACTOR * high_after < low_before)
        # A shift between two weeks leaves no week out: its first week is found one step later.
        since = np.where(is_shift & ((since == 0) | (since == length - 1)), length, since)
    if not since.any():
        return days
    is_old = (since > 0)[:, None] & (np.arange(weeks.shape[1]) < weeks.shape[1] - since[:, None])
    return np.where(np.repeat(is_old, 7, axis=1), np.nan, days)
