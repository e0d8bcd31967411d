"""Array arithmetic that several steps share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LOG_LIMIT = 3.0
"""A factor of 20: a level that starts from nothing, or falls to nothing, would otherwise be infinitely far away."""


def mean_where(values: Floats, is_known: NDArray[np.bool_], default: float) -> Floats:
    """Return the mean over the last axis of the known values, `default` where none is known.

    `values` and `is_known` are (..., k); the result is (...) in the unit of `values`.
    """
    counts = is_known.sum(axis=-1)
    means = np.where(is_known, values, 0.0).sum(axis=-1) / np.maximum(counts, 1)
    return np.where(counts > 0, means, default)


def running_sums(amounts: Floats) -> Floats:
    """Return (days, paths): sums over the days up to each, as np.cumsum over axis 0, several times faster."""
    sums = np.empty_like(amounts)
    sums[:1] = amounts[:1]
    for day in range(1, len(amounts)):
        np.add(sums[day - 1], amounts[day], out=sums[day])
    return sums


def log_ratio(top: Floats, bottom: Floats) -> Floats:
    """Return ln(top / bottom), limited to +-3; 0 where both are 0. Shapes broadcast."""
    both = (top > 0) & (bottom > 0)
    ratio = np.divide(top, bottom, out=np.ones(np.broadcast_shapes(top.shape, bottom.shape)), where=both)
    ratio = np.where((top > 0) & ~both, np.exp(_LOG_LIMIT), np.where((bottom > 0) & ~both, np.exp(-_LOG_LIMIT), ratio))
    return np.clip(np.log(ratio), -_LOG_LIMIT, _LOG_LIMIT)


def relative_to_mean(errors: Floats) -> Floats:
    """Return errors divided by their mean over the last axis; 1 where all are 0. The shape stays."""
    mean = errors.mean(axis=-1, keepdims=True)
    return np.where(mean > 1e-12, errors / np.maximum(mean, 1e-12), 1.0)
