"""Probabilities of amounts far outside their forecast: its seven quantiles, extrapolated beyond the outermost."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import QUANTILES

LEAST_PROBABILITY: Final = 1e-6
"""Seven quantiles cannot tell one in a million from less."""

EDGE_PROBABILITY: Final = 0.05
"""The probability beyond the outermost quantiles, p05 and p95."""

P05, P10, P50, P90, P95 = (QUANTILES.index(level) for level in (0.05, 0.10, 0.50, 0.90, 0.95))
"""Positions of these quantiles in QUANTILES."""

_LEVELS: Final = np.array(QUANTILES)

_LEAST_FACTOR, _LARGEST_FACTOR = 1.02, 1.25
"""Limits of the factor by which an amount grows while its probability halves. The factor is that of p95 over p90, but
the next cent of a constant account is no anomaly, and an account with rare payments must still be able to have one."""

_MOST_HALVINGS: Final = 100.0
"""Far below LEAST_PROBABILITY already."""


def tail_probabilities(quantiles: Floats, observed: Floats) -> tuple[Floats, Floats]:
    """Return the probability of at most, and of at least, what was observed: two of (days,).

    `quantiles` is (days, 7), those of QUANTILES, never falling. Between them the distribution is linear. Beyond p95
    the probability halves each time the amount grows by p95 / p90, limited to 1.02 to 1.25; where p95 is not above
    zero, each time it grows by p95 - p90. Below p05 it halves with every p10 - p05, at least a fiftieth of p05. Never
    under LEAST_PROBABILITY.
    """
    up_to = _cumulative(quantiles, observed, (quantiles <= observed[:, None]).sum(axis=1))
    before = _cumulative(quantiles, observed, (quantiles < observed[:, None]).sum(axis=1))
    is_over, is_under = observed > quantiles[:, -1], observed < quantiles[:, 0]
    over, under = _over(quantiles, observed), _under(quantiles, observed)
    below = np.where(is_over, 1.0 - over, np.where(is_under, under, up_to))
    above = np.where(is_over, over, np.where(is_under, 1.0 - under, 1.0 - before))
    return np.clip(below, LEAST_PROBABILITY, 1.0), np.clip(above, LEAST_PROBABILITY, 1.0)


def _cumulative(quantiles: Floats, observed: Floats, passed: NDArray[np.int64]) -> Floats:
    """Return the level of what was observed, with `passed` quantiles below it; meaningless beyond the outermost."""
    rows = np.arange(len(observed))
    low, high = np.clip(passed - 1, 0, None), np.clip(passed, None, len(QUANTILES) - 1)
    floor, ceiling = quantiles[rows, low], quantiles[rows, high]
    width = ceiling - floor
    share = np.where(width > 0, (observed - floor) / np.where(width > 0, width, 1.0), 0.0)
    found: Floats = _LEVELS[low] + (_LEVELS[high] - _LEVELS[low]) * np.clip(share, 0.0, 1.0)
    return np.where(passed == 0, EDGE_PROBABILITY, found)


def _over(quantiles: Floats, observed: Floats) -> Floats:
    p90, p95 = quantiles[:, P90], quantiles[:, P95]
    is_positive = p95 > 0
    top = np.where(is_positive, p95, 1.0)
    factor = np.clip(top / np.where(p90 > 0, p90, top / _LARGEST_FACTOR), _LEAST_FACTOR, _LARGEST_FACTOR)
    by_factor = np.log(np.maximum(observed, top) / top) / np.log(factor)
    return EDGE_PROBABILITY * np.exp2(-np.where(is_positive, by_factor, _halvings(observed - p95, p95 - p90)))


def _under(quantiles: Floats, observed: Floats) -> Floats:
    p05 = quantiles[:, P05]
    spread = np.maximum(quantiles[:, P10] - p05, (_LEAST_FACTOR - 1) * np.abs(p05))
    return EDGE_PROBABILITY * np.exp2(-_halvings(p05 - observed, spread))


def _halvings(distance: Floats, step: Floats) -> Floats:
    """Return how often the probability halves over `distance`: _MOST_HALVINGS where only one amount was expected."""
    found: Floats = np.maximum(distance, 0.0) / np.where(step > 0, step, 1.0)
    return np.where(step > 0, np.minimum(found, _MOST_HALVINGS), np.where(distance > 0, _MOST_HALVINGS, 0.0))
