"""How far a level may wander: the one multiplicative shock of each path."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from pipeline.forecasts.engine.histories import Floats
from pipeline.forecasts.engine.learn import Wander
from pipeline.forecasts.engine.pool import LADDER, Pool

_SHARED: Final = 16.0
"""Origins that everybody's variance counts as, beside the account's own; four to twenty-five came out alike."""

_LARGEST_SHOCK: Final = 3.0
_UNSURE: Final = 0.75
"""Log deviation of an account's own deviation: it is estimated, and too small as often as too large. It moves weight
into the tails, where the 95 % band ends, and leaves the middle alone."""

_DOWN, _UP = -4.0, 2.5
"""Logs beyond which no level goes: next to nothing, and twelve times."""

_SKEW: Final = 0.15
"""Of the variance is taken off the log. Half would keep the mean; levels that fall for good call for less."""


def generator(account_id: str, *, stream: int, seed: int = 0) -> np.random.Generator:
    """One account's own randomness: the same whoever stands beside it."""
    words = np.frombuffer(hashlib.sha256(account_id.encode()).digest(), dtype=np.uint32).tolist()
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, stream, *words])))


def deviation(found: Wander, shared: Floats) -> Floats:
    """(n,): log deviation of the level over four weeks, the account's own and everybody's (`shared`) mixed."""
    mixed = (found.origins * found.excess + _SHARED * shared) / (found.origins + _SHARED)
    return np.sqrt(np.clip(mixed, 0.0002, 1.0))


def growth(weeks: int) -> Floats:
    """(weeks,): the deviation at each week ahead, over that of four weeks' mean."""
    grown: Floats = np.sqrt(0.3 + 0.7 * np.arange(1, weeks + 1) / 2.5)
    return grown


def shocks(rng: np.random.Generator, pool: Pool, shape: int | tuple[int, ...]) -> Floats:
    """One signed shock for each path, in deviations."""
    size = np.minimum(np.interp(rng.random(shape), LADDER, pool.shocks), _LARGEST_SHOCK)
    size = size * np.exp(_UNSURE * rng.standard_normal(shape))
    return np.where(rng.random(shape) < 0.5, -size, size)


def factors(sigma: Floats, shock: Floats) -> Floats:
    """(weeks, ...): what the level is multiplied by in each week; `sigma` is (weeks,) before its growth."""
    spread = sigma * growth(len(sigma))
    lead = (slice(None), *(None,) * shock.ndim)
    return np.exp(np.clip(spread[lead] * shock[None], _DOWN, _UP) - _SKEW * spread[lead] ** 2)
