"""What accounts learn from each other, and how wide their paths must be so that the past would have fallen inside."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.histories import Floats, Histories
from pipeline.forecasts.engine.learn import (
    AGES,
    BLOCK_WEEKS,
    Learned,
    Wander,
    learn,
    relative,
    remember,
    wander,
    weeks_of,
)
from pipeline.forecasts.engine.level_walk import deviation, factors, generator, shocks
from pipeline.forecasts.engine.pool import HORIZONS, LADDER, Pool, nobody, prior_excess

TEACHERS: Final = 600
"""Accounts that the pool is made of, at most: chosen by a hash of their ids, so by nothing that they do."""

DONORS: Final = 24
"""Weeks that a vendor's new accounts borrow from, at most."""

_GROUP: Final = 35
"""Accounts a knot; fewer would copy each other's accidents."""

_KNOTS: Final = 12
_PSEUDO: Final = 3
"""Accounts that know nothing, in each knot's variance."""

_PATHS: Final = 96
_LEAST: Final = 6
"""Weeks that an origin needs behind it."""

_WIDTHS: Final = np.array([0.0, 0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.1, 3.0])
_WANTED: Final = 0.81 + 0.955
"""The shares of past totals inside the 80 % and 95 % bands, added up; a little more than nominal, since the future
differs from every past."""

_TRUST: Final = (0.5, 0.85, 0.7)
"""How far past coverage at each of HORIZONS is followed: the shortest is drowned by single days, and of the longest
only few and overlapping totals are known."""

_DOUBT: Final = 5.0
"""Accounts whose evidence is followed halfway."""

_NARROWEST, _WIDEST = np.log(0.4), np.log(1.5)
"""Limits of the logs. Beyond them it is single giant days that fall outside, which no wandering level explains."""


def rank(account_id: str) -> bytes:
    """An order of accounts that has nothing to do with them."""
    return hashlib.sha256(account_id.encode()).digest()


def build(known: Histories, teaches: NDArray[np.bool_]) -> Pool:
    """Learn from the accounts marked in `teaches`; every number is the same whatever else is in `known`."""
    order = sorted(np.flatnonzero(teaches).tolist(), key=lambda row: rank(known.ids[row]))
    if not order:
        return nobody()
    rows = sorted(order[:TEACHERS])
    learned = learn(known.days[rows])
    groups = _groups(learned)
    knots = np.array([learned.roughness[group].mean() for group in groups])
    errors = np.stack([_errors(learned, group) for group in groups])
    half = Pool(
        roughness=knots,
        # Half of what is learnt of the memories is everybody's: a group's ranking of them is a matter of luck.
        errors=0.5 * errors + 0.5 * _errors(learned, np.arange(len(rows))),
        excess=np.zeros(len(knots)),
        widths=np.zeros((len(knots), len(HORIZONS))),
        shocks=np.ones(len(LADDER)),
        donors=_donors(known, order),
        levels=_levels(known, order),
    )
    found = wander(learned, half.at(half.errors, learned.roughness))
    sizes = found.shocks[np.isfinite(found.shocks)]
    half = replace(
        half,
        excess=np.array([_excess(found, learned.roughness, group) for group in groups]),
        shocks=np.quantile(sizes, LADDER) if len(sizes) else nobody().shocks,
    )
    return replace(half, widths=_widths(known, rows, learned, found, half, groups))


def _groups(learned: Learned) -> list[NDArray[np.int64]]:
    order = np.argsort(learned.roughness, kind="stable")
    return np.array_split(order, int(np.clip(len(order) // _GROUP, 1, _KNOTS)))


def _errors(learned: Learned, group: NDArray[np.int64]) -> Floats:
    # Added up before they are compared: an account on which every memory does well has little to say.
    return relative(learned.errors[group].mean(axis=0))


def _excess(found: Wander, roughness: Floats, group: NDArray[np.int64]) -> float:
    """How many times the variance supposed beforehand a group's level has wandered."""
    told = group[found.origins[group] > 0]
    supposed = prior_excess(roughness[told])
    doubt = _PSEUDO * float(prior_excess(roughness[group].mean()))
    return float(found.excess[told].sum() + doubt) / float(supposed.sum() + doubt)


def _donors(known: Histories, order: list[int]) -> dict[str, Floats]:
    found: dict[str, list[Floats]] = {}
    for row in order:
        for name in {"", known.vendors[row]}:
            if len(found.get(name, [])) < DONORS:
                week = np.maximum(weeks_of(known.days[[row]])[0][0, -1], 0.0)
                if week.sum() > 0:
                    found.setdefault(name, []).append(week / week.sum())
    return {name: np.stack(weeks) for name, weeks in sorted(found.items())}


def _levels(known: Histories, order: list[int]) -> dict[str, Floats]:
    found: dict[str, list[float]] = {}
    for row in order:
        days = known.days[row, -7 * BLOCK_WEEKS :]
        days = days[np.isfinite(days)]
        if known.vendors[row] and days.sum() > 0:
            found.setdefault(known.vendors[row], []).append(float(np.log(days.mean())))
    return {
        name: np.array([np.mean(logs), np.std(logs, ddof=1)]) for name, logs in sorted(found.items()) if len(logs) >= 3
    }


def _widths(
    known: Histories,
    rows: list[int],
    learned: Learned,
    found: Wander,
    pool: Pool,
    groups: list[NDArray[np.int64]],
) -> Floats:
    """(knots, horizons): forecast the past from past origins at several widths, and take the one that held it."""
    sigma = deviation(found, pool.excess_at(learned.roughness))
    width = learned.sums.shape[1]
    is_there = np.arange(width) >= width - learned.seen[:, None]
    centres = remember(learned.sums, is_there, AGES)
    inside = np.zeros((len(HORIZONS), len(_WIDTHS), len(rows)))
    counts = np.zeros((len(HORIZONS), len(rows)))
    for row, place in enumerate(rows):
        rng = generator(known.ids[place], stream=1)
        for number, look in enumerate(HORIZONS):
            ranks = _ranks(row, look, learned, found.weights[row], float(sigma[row]), centres, pool, rng)
            inside[number, :, row] = ((ranks >= 0.1) & (ranks <= 0.9)).sum(axis=1)
            inside[number, :, row] += ((ranks >= 0.025) & (ranks <= 0.975)).sum(axis=1)
            counts[number, row] = ranks.shape[1]
    logs = np.zeros((len(groups), len(HORIZONS)))
    for knot, group in enumerate(groups):
        for number in range(len(HORIZONS)):
            told = counts[number, group] > 0
            if told.any():
                held = inside[number][:, group].sum(axis=1) / counts[number, group].sum()
                trust = _TRUST[number] * told.sum() / (told.sum() + _DOUBT)
                logs[knot, number] = np.clip(trust * np.log(_enough(held)), _NARROWEST, _WIDEST)
    return logs


def _enough(held: Floats) -> float:
    """The width at which the wanted share was held, linear between those tried."""
    rising = np.maximum.accumulate(held)
    if rising[0] >= _WANTED:
        return 0.15
    if rising[-1] < _WANTED:
        return float(_WIDTHS[-1])
    return max(float(np.interp(_WANTED, rising, _WIDTHS)), 0.15)


def _ranks(
    row: int,
    look: int,
    learned: Learned,
    weights: Floats,
    sigma: float,
    centres: Floats,
    pool: Pool,
    rng: np.random.Generator,
) -> Floats:
    """(widths, origins): where the total of `look` weeks after each past origin fell among sample paths, 0 to 1."""
    last = learned.sums.shape[1] - 1
    seen = int(learned.seen[row])
    behind = seen - look - np.arange(0, 20, 2)
    behind = behind[behind >= _LEAST]
    origin = last - seen + behind
    sums = learned.sums[row]
    # An origin at which nothing had been spent yet had nothing to forecast from.
    keep = np.array([sums[: end + 1].sum() > 0 for end in origin], dtype=bool)
    behind, origin = behind[keep], origin[keep]
    shape = (len(origin), _PATHS)
    memory = np.searchsorted(np.cumsum(weights)[:-1], rng.random(shape), side="right")
    age = AGES[memory][:, :, None]
    reach = np.minimum(behind, BLOCK_WEEKS)[:, None, None]
    drawn = np.floor(-age * np.log1p(-rng.random((*shape, look)) * (1.0 - np.exp(-reach / age))))
    week = sums[origin[:, None, None] - np.minimum(drawn, reach - 1).astype(np.int64)]
    centre = centres[memory, row, origin[:, None]]
    level = learned.memories[memory, row, origin[:, None]]
    base = week * np.where(centre > 0, level / np.where(centre > 0, centre, 1.0), 0.0)[:, :, None]
    shock = shocks(rng, pool, shape)
    came = np.stack([sums[end + 1 : end + 1 + look].sum() for end in origin]) if len(origin) else np.zeros(0)
    tie = rng.random(len(origin))
    ranks = np.zeros((len(_WIDTHS), len(origin)))
    for number, wide in enumerate(_WIDTHS):
        gains = factors(sigma * np.full(look, wide), shock)
        total = (base * np.moveaxis(gains, 0, 2)).sum(axis=2)
        slack = 1e-9 * came[:, None]
        below = (total < came[:, None] - slack).mean(axis=1)
        level_with = (np.abs(total - came[:, None]) <= slack).mean(axis=1)
        ranks[number] = below + tie * level_with
    return ranks
