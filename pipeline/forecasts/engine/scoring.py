"""Scores of a forecast once its days have come: quantile loss, coverage and the Brier score.

The benchmark of the forecasts uses the same measures. Losses are in money; callers divide them by a scale that makes
accounts comparable.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats

_TOLERANCE: Final = 1e-9
"""Relative rounding error that is forgiven: sums of floats differ in their last digits, and a total that equals a
band's edge is inside."""

_LEAST_ROWS: Final = 8
_KEYED_SAMPLES: Final = (256, 4096)
"""Rows, and fewest and most samples, for which keys are faster than values and have 20 bits or more for a place."""


def quantiles_of(samples: Floats, levels: Floats) -> Floats:
    """Return (..., levels) of (..., samples): quantiles over the last axis, linear between the two nearest samples."""
    rows = samples.reshape(-1, samples.shape[-1])
    is_worth_it = len(rows) >= _LEAST_ROWS and _KEYED_SAMPLES[0] <= rows.shape[1] <= _KEYED_SAMPLES[1]
    found = _quantiles_by_keys(rows, levels) if is_worth_it else _quantiles_by_values(rows, levels)
    return found.reshape(*samples.shape[:-1], len(levels))


def _nearest(levels: Floats, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return (levels,) each: the ranks around each quantile of `count` samples, and its distance from the lower one."""
    place = levels * (count - 1)
    low = np.floor(place).astype(np.int64)
    return low, np.minimum(low + 1, count - 1), place - low


def _quantiles_by_values(rows: Floats, levels: Floats) -> Floats:
    ordered = np.sort(rows, axis=-1)
    low, high, part = _nearest(levels, rows.shape[-1])
    found: Floats = ordered[:, low] + (ordered[:, high] - ordered[:, low]) * part
    return found


def _quantiles_by_keys(rows: Floats, levels: Floats) -> Floats:
    """Return (n, levels) of (n, samples), the numbers of `_quantiles_by_values` in half the time.

    Keys of 32 bits are sorted in place of values of 64: the value's place between the row's least and most, and the
    sample's number, by which the exact value is found. A row in which values around a quantile share a place is sorted
    by its values.
    """
    count = rows.shape[1]
    bits = (count - 1).bit_length()
    half = 2.0 ** (31 - bits) - 1.0
    least = rows.min(axis=1, keepdims=True)
    span = rows.max(axis=1, keepdims=True) - least
    if not np.isfinite(span).all():
        return _quantiles_by_values(rows, levels)
    places = rows - least
    places *= 2.0 * half / np.where(span > 0, span, np.inf)
    places -= half
    keys = places.astype(np.int32)
    keys <<= bits
    keys |= np.arange(count, dtype=np.int32)
    keys.sort(axis=1)
    low, high, part = _nearest(levels, count)
    near = keys[:, np.stack([np.maximum(low - 1, 0), low, high, np.minimum(high + 1, count - 1)])]
    values = rows[np.arange(len(rows))[:, None, None], near & ((1 << bits) - 1)]
    near >>= bits
    is_unsure = ((near[:, 1:] == near[:, :-1]) & (values[:, 1:] != values[:, :-1])).any(axis=(1, 2))
    found: Floats = values[:, 1] + (values[:, 2] - values[:, 1]) * part
    if is_unsure.any():
        found[is_unsure] = _quantiles_by_values(rows[is_unsure], levels)
    return found


def pinball(quantiles: Floats, levels: Floats, observed: Floats) -> Floats:
    """Return (...) of (..., levels) and (...): twice the mean pinball loss, in the unit of `observed`.

    With levels evenly spaced between 0 and 1 it is close to the CRPS. For a forecast that gives one number at every
    level, and symmetric levels, it is the absolute error.
    """
    miss = observed[..., None] - quantiles
    loss: Floats = 2.0 * np.maximum(levels * miss, (levels - 1.0) * miss).mean(axis=-1)
    return loss


def is_at_or_below(observed: Floats, edge: Floats) -> NDArray[np.bool_]:
    """Return whether what was observed is at most the edge, rounding errors forgiven; shapes broadcast."""
    found: NDArray[np.bool_] = observed <= edge + _TOLERANCE * np.abs(observed)
    return found


def is_at_or_above(observed: Floats, edge: Floats) -> NDArray[np.bool_]:
    """Return whether what was observed is at least the edge, rounding errors forgiven; shapes broadcast."""
    found: NDArray[np.bool_] = observed >= edge - _TOLERANCE * np.abs(observed)
    return found


def brier(probability: Floats, happened: NDArray[np.bool_]) -> Floats:
    """Return the squared distance of probabilities from what happened: 0 is best, 0.25 a coin's. Shapes broadcast."""
    distance: Floats = (probability - happened) ** 2
    return distance
