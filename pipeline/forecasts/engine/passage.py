"""First passage: the day on which a balance falls below a threshold for the first time."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_TOLERANCE: Final = 1e-9
"""Relative rounding error that is forgiven: a balance that is used up to the last digit is not below zero, even if a
sum of floats says so."""


def room_above(balance: float, threshold: float = 0.0) -> float:
    """Return what can be spent before the balance is below the threshold; negative where it is already."""
    return balance - threshold + _TOLERANCE * max(abs(balance), abs(threshold))


def first_passage(amounts: NDArray[np.float64], balance: float, threshold: float = 0.0) -> NDArray[np.int64]:
    """Return the first day of each path on which the balance is below the threshold.

    `amounts` is (paths, days) of spend, the balance that of the end of the day before the first. Returns (paths,):
    0 where it is below already, 1 for the first day, and days + 1 where it never is.
    """
    room = room_above(balance, threshold)
    if room < 0:
        return np.zeros(len(amounts), dtype=np.int64)
    below = np.cumsum(amounts, axis=1) > room
    first: NDArray[np.int64] = np.where(below.any(axis=1), below.argmax(axis=1) + 1, amounts.shape[1] + 1)
    return first


def passed_by_day(sums: NDArray[np.float64], balance: float, threshold: float = 0.0) -> NDArray[np.float64]:
    """Return the share of paths that have been below the threshold by the end of each day: (days,), never falling.

    `sums` is (days, paths) of spend since the balance was read. Answers the same question as `first_passage`, faster.
    """
    room = room_above(balance, threshold)
    if room < 0:
        return np.ones(len(sums))
    below = sums > room
    # A row at a time: several times faster than np.logical_or.accumulate and a mean.
    for day in range(1, len(below)):
        np.logical_or(below[day - 1], below[day], out=below[day])
    shares: NDArray[np.float64] = np.array([np.count_nonzero(row) for row in below]) / sums.shape[1]
    return shares
