"""Step 4: estimate how far each account's level drifts beyond what its blocks and weighted means explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats, log_ratio, mean_where, relative_to_mean
from pipeline.forecasts.engine.weekly_levels import LOOKAHEAD_WEEKS, WeeklyLevels

_OWN_WEIGHT: Final = 3.0
_POOLED_WEIGHT: Final = 15.0
"""How strongly the weights of the time constants depend on the account's own errors and on the pooled ones. Similar
accounts count five times as much as one account, whose few origins overlap. Half and twice of either gave almost the
same scores."""

_PRIOR_ORIGINS: Final = 16.0
"""Origins that the pooled variance counts as, beside the account's own. 4 to 25 gave almost the same scores."""

_VARIANCE_LIMITS: Final = (0.0002, 1.0)
"""Limits of a level's log variance over four weeks: 1.4 % for an account that never moved, and a factor of e."""


_HALF_EXPOSED: Final = 0.002
"""Roughness of an account that is assumed to take part in half of the variance of shared moves. A constant account,
such as a fixed price, does not."""

_EXPOSURE_VARIANCE: Final = 0.25
"""Variance of exposures between accounts of the same roughness."""

_LEAST_RESIDUAL: Final = 0.02**2
_MOST_EXPOSURE: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelDrift:
    """How the level of n accounts has drifted at past origins."""

    weights: Floats
    """(n, TIME_CONSTANTS): the probability with which a path uses each time constant; sums to 1."""
    exposures: Floats
    """(n,): how much of a shared move of the level each account takes part in: 1 for all of it."""
    excess: Floats
    """(n,): log variance of a four-week mean beyond what was explained; 0 where no origin could be compared."""
    origins: Floats
    """(n,): past origins that do not overlap."""
    shocks: Floats
    """(n, w): absolute past errors divided by their root mean square, NaN where there was none."""

    def deviation(self, pooled_variance: Floats) -> Floats:
        """Return (n,): log standard deviation of the level over four weeks, shrunk towards `pooled_variance`, (n,)."""
        mixed = (self.origins * self.excess + _PRIOR_ORIGINS * pooled_variance) / (self.origins + _PRIOR_ORIGINS)
        return np.sqrt(np.clip(mixed, *_VARIANCE_LIMITS))


def memory_weights(weekly: WeeklyLevels, pooled_errors: Floats) -> Floats:
    """Return (n, TIME_CONSTANTS): the probability of each time constant, by its past errors.

    `pooled_errors` is (n, TIME_CONSTANTS): the relative errors of accounts of the same roughness.
    """
    log_weights = -_OWN_WEIGHT * relative_to_mean(weekly.errors) - _POOLED_WEIGHT * pooled_errors
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    shares: Floats = weights / weights.sum(axis=1, keepdims=True)
    return shares


def level_drift(weekly: WeeklyLevels, weights: Floats, shared: Floats) -> LevelDrift:
    """Measure what the level, weighted by `weights`, still missed at past origins, beyond what all accounts missed.

    `shared` is (n, w): the log error that accounts had in common in the four weeks after each, 0 where unknown.
    """
    by_constant = weights.T[:, :, None]
    expected = (by_constant * weekly.levels).sum(axis=0)
    is_known = np.isfinite(weekly.following)
    offset = weekly.log_offset
    residuals = log_ratio(np.where(is_known, weekly.following, expected) + offset, expected + offset)
    shared = np.where(is_known & (weekly.lookahead == LOOKAHEAD_WEEKS)[:, None], shared, 0.0)
    exposures = _exposures(residuals, shared, is_known, weekly.roughness)
    residuals = residuals - exposures[:, None] * shared
    between = (by_constant * log_ratio(weekly.levels + offset, expected + offset) ** 2).sum(axis=0)

    ahead = weekly.lookahead.astype(np.float64)
    # `sampling.growth` has 0.3 of the variance at once; 0.7 grow as a random walk, whose mean over 4, 2 and 1 weeks
    # has a variance of 30/16, 5/4 and 1 steps. Relative to four weeks, whose share is 1.
    steps = np.where(weekly.lookahead == LOOKAHEAD_WEEKS, 30.0, np.where(weekly.lookahead == 2, 5.0, 1.0))
    share = 0.3 + 0.7 * steps / ahead**2 / 1.875
    squares = mean_where(np.minimum(residuals**2, 2.0), is_known, 0.0)
    block_variance = (weights.T * weekly.block_variances).sum(axis=0)
    explained = mean_where(between, is_known, 0.0) + block_variance / ahead
    size = np.sqrt(mean_where(residuals**2, is_known, 1.0))
    known = is_known.sum(axis=1)
    return LevelDrift(
        weights=weights,
        exposures=exposures,
        # The blocks of an account that stopped explain any error; it must not narrow the others' variance.
        excess=np.where(known > 0, np.maximum((squares - explained) / share, -0.1), 0.0),
        origins=known / ahead,
        shocks=np.where(is_known, np.abs(residuals) / np.maximum(size, 1e-6)[:, None], np.nan),
    )


def prior_exposures(roughness: Floats) -> Floats:
    """Return (n,): the exposure to shared moves that is assumed for a roughness of (n,)."""
    exposures: Floats = np.sqrt(roughness / (roughness + _HALF_EXPOSED))
    return exposures


def _exposures(residuals: Floats, shared: Floats, is_known: NDArray[np.bool_], roughness: Floats) -> Floats:
    """Return (n,): regression of each account's errors on the shared ones, shrunk to the prior."""
    variance = np.maximum(mean_where(residuals**2, is_known, 1.0), _LEAST_RESIDUAL)
    # Overlapping origins count as one.
    scale = LOOKAHEAD_WEEKS * variance
    precision = 1.0 / _EXPOSURE_VARIANCE
    met = (shared**2).sum(axis=1) / scale
    moved = (shared * residuals).sum(axis=1) / scale
    found: Floats = np.clip((moved + precision * prior_exposures(roughness)) / (met + precision), 0.0, _MOST_EXPOSURE)
    return found
