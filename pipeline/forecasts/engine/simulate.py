"""Joint sample paths of one account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.histories import Floats
from pipeline.forecasts.engine.learn import AGES, BLOCK_WEEKS, Learned, block_chances, learn, mean_where, wander
from pipeline.forecasts.engine.level_walk import deviation, factors, growth, shocks
from pipeline.forecasts.engine.pool import HORIZONS, Pool

FULL_DAYS, BLOCK_DAYS, OWN_DAYS = 84, 28, 7
"""Days of history from which the next rung of the ladder is stood on."""

CAP: Final = 3.0
"""A day costs at most this many times the dearest day seen: beyond it, a model speaks of what nobody has observed."""

_SHIFTED: Final = 0.3
"""The share of blocks that start up to three days off: a week has few ways to come again as it was."""

_LEAST_UNSURE: Final = 0.15
"""Log deviation of a level that few days tell, where these days are all alike."""

_PRIOR_UNSURE: Final = 0.8
"""Log deviation of a level that only somebody's estimate tells: between 0.45 and 2.2 times it, two times in three."""

_FEW_WANDER: Final = 0.1
"""Log deviation over four weeks of a level that no four weeks tell; small beside how little is known of the level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Sample paths of one account."""

    account_id: str
    as_of: date
    method: str
    history_days: int
    amounts: NDArray[np.float64]
    """(paths, horizon): spend a day in money, known charges on their day. The first column is the day after `as_of`."""
    charges: Floats
    """(horizon,): the known charges that `amounts` holds."""

    def dates(self) -> list[date]:
        """The days of the columns."""
        return [self.as_of + timedelta(days=1 + day) for day in range(self.amounts.shape[1])]


def method_of(history_days: int, *, has_prior: bool) -> str:
    """Which rung of the ladder a history stands on."""
    if history_days >= FULL_DAYS:
        return "full"
    if history_days >= BLOCK_DAYS:
        return "blocks"
    if history_days >= OWN_DAYS:
        return "weeks"
    if history_days >= 1:
        return "donors"
    return "prior" if has_prior else "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What paths of one account are drawn from."""

    mean: float
    blocks: Floats
    """(w, 7)"""
    levels: Floats
    """(taus,): the level over the mean sum of such blocks."""
    weights: Floats
    """(taus,)"""
    sigma: float
    widths: Floats
    """(len(HORIZONS),)"""
    unsure: float
    stale: int
    seen: int
    cap: float


def ready(days: Floats, pool: Pool) -> list[Account]:
    """Join each account's own evidence with the pool's: `days` is (n, weeks x 7)."""
    learned: Learned = learn(days)
    found = wander(learned, pool.at(pool.errors, learned.roughness))
    sigma = deviation(found, pool.excess_at(learned.roughness))
    widths = pool.at(pool.widths, learned.roughness)
    chances = block_chances(learned.seen, learned.sums.shape[1])
    centres = (chances * learned.sums).sum(axis=2)
    newest = learned.memories[:, :, -1]
    levels = np.where(centres > 0, newest / np.where(centres > 0, centres, 1.0), 1.0)
    unsure = _unsure(days)
    dearest = np.where(np.isfinite(days), days, 0.0).max(axis=1)
    return [
        Account(
            mean=float(learned.mean[row]),
            blocks=learned.blocks[row],
            levels=levels[:, row],
            weights=found.weights[row],
            sigma=float(sigma[row]),
            widths=widths[row],
            unsure=float(unsure[row]),
            stale=int(learned.stale[row]),
            seen=int(learned.seen[row]),
            cap=CAP * float(dearest[row]),
        )
        for row in range(len(days))
    ]


def _widths(widths: Floats, weeks: int) -> Floats:
    """(weeks,): the width at each week ahead; a total of h weeks has its middle at (h + 1) / 2."""
    middles = np.log([(look + 1) / 2 for look in HORIZONS])
    return np.exp(np.interp(np.log(np.arange(1, weeks + 1)), middles, widths))


def _unsure(days: Floats) -> Floats:
    """(n,): log deviation of a level that few days tell; falls with the days that there are, to 0 at FULL_DAYS."""
    known = np.isfinite(days)
    count = np.maximum(known.sum(axis=1), 1)
    mean = mean_where(days, known, 0.0)
    variance = mean_where((days - mean[:, None]) ** 2, known, 0.0)
    variation = np.where(mean > 0, variance / np.where(mean > 0, mean, 1.0) ** 2, 0.0)
    scarcity = np.maximum(1.0 - count / FULL_DAYS, 0.0)
    unsure: Floats = np.sqrt(scarcity * (np.minimum(variation / count, 1.0) + _LEAST_UNSURE**2))
    return unsure


def draw(account: Account, pool: Pool, rng: np.random.Generator, paths: int, horizon: int) -> Floats:
    """(horizon, paths): spend a day in money."""
    weeks = -(-horizon // 7)
    flat = account.blocks.reshape(-1)
    last = len(account.blocks) - 1
    # A history that ended weeks ago has had these weeks to wander, too.
    ahead = account.stale + weeks
    memory = np.searchsorted(np.cumsum(account.weights)[:-1], rng.random(paths), side="right")
    age = AGES[memory]
    reach = min(account.seen, BLOCK_WEEKS)
    drawn = np.floor(-age * np.log1p(-rng.random((weeks, paths)) * (1.0 - np.exp(-reach / age))))
    starts = 7 * (last - np.minimum(drawn, reach - 1).astype(np.int64))
    off = rng.random((weeks, paths))
    # The same uniform says whether a block is shifted and by how much of -3 to 3 days.
    shift = np.where(off < _SHIFTED, np.floor(off * (7 / _SHIFTED)) - 3.0, 0.0).astype(np.int64)
    starts = np.clip(starts + shift, 7 * (last + 1 - account.seen), 7 * last)
    gain = factors(account.sigma * _widths(account.widths, ahead), shocks(rng, pool, paths))[account.stale :]
    level = account.levels[memory] * np.exp(account.unsure * rng.standard_normal(paths))
    days = flat[starts[:, None, :] + np.arange(7)[None, :, None]]
    gain = (account.mean * level)[None, None, :] * gain[:, None, :]
    # Refunds grow with no level: what was given back once says nothing of how much will be.
    grown = np.where(days < 0, days * account.mean, days * gain) if account.blocks.min() < 0 else days * gain
    capped: Floats = np.minimum(grown, account.cap).reshape(weeks * 7, paths)[:horizon]
    return capped


def draw_few(
    days: Floats, vendor: str, pool: Pool, rng: np.random.Generator, paths: int, horizon: int, prior: float
) -> Floats:
    """(horizon, paths) for an account with less than a week, or none and an estimate: donors' weeks at its own level.

    `days` are its days, newest last, NaN where unobserved; `prior` is an estimated mean of a day, for where none is.
    """
    weeks = -(-horizon // 7)
    donors = pool.donors.get(vendor, pool.donors.get("", np.full((1, 7), 1 / 7)))
    own = np.maximum(days[np.isfinite(days)], 0.0)
    if len(own):
        level = np.full(paths, own.mean())
        if vendor in pool.levels:
            # The vendor's accounts count as one more day, drawn anew in each path.
            centre, spread = pool.levels[vendor].tolist()
            drawn = np.exp(centre + min(spread, 2.0) * rng.standard_normal(paths))
            level = (own.sum() + drawn) / (len(own) + 1.0)
        unsure = 0.3 + 0.5 / np.sqrt(len(own))
    else:
        level = np.full(paths, max(prior, 0.0))
        unsure = _PRIOR_UNSURE
    level = level * np.exp(unsure * rng.standard_normal(paths))
    shape = 7.0 * np.moveaxis(donors[rng.integers(0, len(donors), (weeks, paths))], 2, 1)
    gain = np.exp(_FEW_WANDER * growth(weeks)[:, None] * rng.standard_normal(paths))
    few: Floats = (shape * (level * gain)[:, None, :]).reshape(weeks * 7, paths)[:horizon]
    return few
