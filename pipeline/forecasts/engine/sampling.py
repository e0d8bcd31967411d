"""Random draws that calibration and simulation share, so that widths are calibrated on the paths that are simulated."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.pool import SHOCK_PROBABILITIES, WIDTH_WEEKS

_LARGEST_SHOCK: Final = 3.0
"""Limit of a pooled shock, in standard deviations: the rare larger ones are single accounts' accidents."""

_DEVIATION_UNCERTAINTY: Final = 0.75
"""Log standard deviation of an account's own standard deviation: it is an estimate, and too small as often as too
large. It moves weight into the tails, where the 95 % band ends, and leaves the middle alone."""

_LOWEST_LOG, _HIGHEST_LOG = -4.0, 2.5
"""Limits of a level's log: a fiftieth, and twelve times."""

_SKEW: Final = 0.15
"""Share of the variance that is subtracted from the log. A half would preserve the mean; levels that fall for good call
for less."""


def generator(account_id: str, *, stream: int, seed: int = 0) -> np.random.Generator:
    """Return one account's own random generator, which depends on no other account.

    `stream` separates uses with the same seed: 0 simulates, 1 calibrates; the others are what
    accounts share (`shared_shocks`).
    """
    words = np.frombuffer(hashlib.sha256(account_id.encode()).digest(), dtype=np.uint32).tolist()
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, stream, *words])))


def draw_time_constants(rng: np.random.Generator, weights: Floats, shape: int | tuple[int, ...]) -> NDArray[np.int64]:
    """Draw positions in TIME_CONSTANTS with probability `weights`, which sum to 1."""
    return np.searchsorted(np.cumsum(weights)[:-1], rng.random(shape), side="right")


def draw_block_ages(
    rng: np.random.Generator, time_constants: Floats, reach: int | NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Draw how many weeks ago each block was, 0 to `reach` - 1, newer ones more likely; arguments broadcast to `shape`.

    The probability falls exponentially with `time_constants`, in weeks.
    """
    drawn = np.floor(-time_constants * np.log1p(-rng.random(shape) * (1.0 - np.exp(-reach / time_constants))))
    ages: NDArray[np.int64] = np.minimum(drawn, reach - 1).astype(np.int64)
    return ages


def draw_shocks(rng: np.random.Generator, shock_quantiles: Floats, shape: int | tuple[int, ...]) -> Floats:
    """Draw one signed shock for each path, in standard deviations of its account's level.

    `shock_quantiles` are those of the absolute shock at SHOCK_PROBABILITIES.
    """
    size = np.minimum(np.interp(rng.random(shape), SHOCK_PROBABILITIES, shock_quantiles), _LARGEST_SHOCK)
    size = size * np.exp(_DEVIATION_UNCERTAINTY * rng.standard_normal(shape))
    return np.where(rng.random(shape) < 0.5, -size, size)


def growth(weeks: int) -> Floats:
    """Return (weeks,): the standard deviation of the level in each week ahead, relative to that of four weeks' mean.

    The middle of four weeks is at 2.5 weeks.
    """
    grown: Floats = np.sqrt(0.3 + 0.7 * np.arange(1, weeks + 1) / 2.5)
    return grown


def level_factors(deviations: Floats, shocks: Floats) -> Floats:
    """Return (..., weeks, *shocks): what the level is multiplied by in each week ahead. Arguments of `level_logs`."""
    logs = level_logs(deviations, shocks)
    return np.exp(logs, out=logs)


def level_logs(deviations: Floats, shocks: Floats) -> Floats:
    """Return (..., weeks, *shocks): the log of what the level is multiplied by in each week ahead.

    `deviations` is (..., weeks), log standard deviations before their growth; `shocks` has any shape, one a path.
    """
    spread = deviations * growth(deviations.shape[-1])
    spread = spread.reshape(*spread.shape, *(1,) * shocks.ndim)
    logs: Floats = spread * shocks
    np.clip(logs, _LOWEST_LOG, _HIGHEST_LOG, out=logs)
    logs -= _SKEW * spread**2
    return logs


def width_factors(widths: Floats, weeks: int) -> Floats:
    """Return (weeks,): the factor at each week ahead. The total of h weeks has its middle at (h + 1) / 2."""
    return np.exp(np.interp(np.log(np.arange(1, weeks + 1)), np.log(width_middles()), widths))


def width_middles() -> Floats:
    """Return (WIDTH_WEEKS,): the middle of totals of that many weeks, in weeks ahead."""
    return (np.array(WIDTH_WEEKS) + 1.0) / 2.0
