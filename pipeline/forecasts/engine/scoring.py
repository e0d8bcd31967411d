"""What a forecast was worth once its days have come: the loss, and which bands held.

The same measures as those that the engine's benchmark takes of data sets. Losses are in money; a caller divides them
by what makes accounts comparable.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.histories import Floats

_ROUNDING: Final = 1e-9
"""Sums of floats differ in their last digits: a total that is a band's edge is within it."""


def quantiles_of(samples: Floats, levels: Floats) -> Floats:
    """(..., levels) of (..., samples): quantiles of the last axis, linear between the two nearest samples."""
    ordered = np.sort(samples, axis=-1)
    place = levels * (samples.shape[-1] - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, samples.shape[-1] - 1)
    found: Floats = ordered[..., low] + (ordered[..., high] - ordered[..., low]) * (place - low)
    return found


def pinball(quantiles: Floats, levels: Floats, came: Floats) -> Floats:
    """(...) of (..., levels) and (...): twice the mean pinball loss, in the unit of `came`.

    With levels that lie evenly between 0 and 1 it is close to the CRPS. Of a forecast that says one number at every
    level it is the absolute error, where the levels are symmetric.
    """
    miss = came[..., None] - quantiles
    loss: Floats = 2.0 * np.maximum(levels * miss, (levels - 1.0) * miss).mean(axis=-1)
    return loss


def is_at_or_below(came: Floats, edge: Floats) -> NDArray[np.bool_]:
    """Whether what came is at most the edge, rounding forgiven; shapes broadcast."""
    found: NDArray[np.bool_] = came <= edge + _ROUNDING * np.abs(came)
    return found


def is_at_or_above(came: Floats, edge: Floats) -> NDArray[np.bool_]:
    """Whether what came is at least the edge, rounding forgiven; shapes broadcast."""
    found: NDArray[np.bool_] = came >= edge - _ROUNDING * np.abs(came)
    return found


def brier(probability: Floats, happened: NDArray[np.bool_]) -> Floats:
    """The squared distance of probabilities from what happened: 0 is best, 0.25 a coin's. Shapes broadcast."""
    distance: Floats = (probability - happened) ** 2
    return distance
