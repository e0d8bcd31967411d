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


def quantiles_of(samples: Floats, levels: Floats) -> Floats:
    """Return (..., levels) of (..., samples): quantiles over the last axis, linear between the two nearest samples."""
    ordered = np.sort(samples, axis=-1)
    place = levels * (samples.shape[-1] - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, samples.shape[-1] - 1)
    found: Floats = ordered[..., low] + (ordered[..., high] - ordered[..., low]) * (place - low)
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
