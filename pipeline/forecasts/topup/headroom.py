"""How much an account can spend on top of its forecast: the largest campaigns that `afford` answers with yes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import numpy as np

from pipeline.forecasts.engine import Paths
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.passage import room_above
from pipeline.schema.units import MOST_AMOUNT

_ROUNDING: Final = 1e-12
"""Relative rounding error of a quotient of sums of floats; an amount is lowered by it, so that it can be afforded."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """What can be spent in addition from a day to the end of each horizon."""

    to_dates: tuple[date, ...]
    """The last days of the horizons: those that the paths reach."""
    amounts: tuple[tuple[Decimal | None, ...], ...]
    """For each horizon and accepted risk the largest amount, which has the decimals asked for. None where the chance of
    running dry exceeds the risk without any."""
    depleted_probabilities: tuple[float, ...]
    """For each horizon the chance of running dry by its end without additional spend."""


def headroom(
    paths: Paths,
    *,
    balance: Decimal,
    from_date: date,
    to_dates: Sequence[date],
    risks: Sequence[float],
    scale: int,
) -> Headroom:
    """Return the largest amounts that, spread evenly from `from_date` to each of `to_dates`, keep each of `risks`.

    `balance` is that of the end of `paths.as_of`, `to_dates` rise from `from_date` on, and `scale` is the number of
    decimals of an amount. Those after the paths' last day are left out. Nothing is paid in, automatic top-ups neither.

    A path runs dry if on any day up to the end its spend so far, additional spend included, exceeds the balance. By the
    n-th of N days of a campaign, n / N of it is spent, so a path affords N times the least of what is left on day n
    over n. With a risk of 5 %, all but 5 of 100 paths must afford it.
    """
    count, days = paths.amounts.shape
    start = (from_date - paths.as_of).days - 1
    ends = [end for day in to_dates if (end := (day - paths.as_of).days) <= days]
    room = room_above(float(balance))
    if not ends:
        return Headroom(to_dates=(), amounts=(), depleted_probabilities=())
    left = room - paths.sums()[: ends[-1]]
    dry = (_least_until(left, ends, 0) < 0) | (room < 0)
    lengths = np.array(ends) - start
    parts = left[start:] / np.arange(1.0, ends[-1] - start + 1)[:, None]
    affordable = _least_until(parts, ends, start) * lengths[:, None]
    # A path that is dry before the campaign starts affords none, whatever it gets back later.
    affordable[:, (left[:start] < 0).any(axis=0) | (room < 0)] = -np.inf
    allowed = [_allowed(count, risk) for risk in risks]
    amounts = np.partition(affordable, allowed, axis=1)[:, allowed]
    return Headroom(
        to_dates=tuple(to_dates[: len(ends)]),
        amounts=tuple(tuple(_rounded_down(float(amount), scale) for amount in row) for row in amounts),
        depleted_probabilities=tuple(map(float, dry.mean(axis=1))),
    )


def _least_until(values: Floats, ends: Sequence[int], start: int) -> Floats:
    """(ends, paths): the least value of each path before each of the days `ends`.

    `values` is (days, paths); its first row is the day `start`, and days are counted from 0.
    """
    bounds = [0, *(end - start for end in ends)]
    return np.minimum.accumulate([values[first:last].min(axis=0) for first, last in itertools.pairwise(bounds)])


def _allowed(count: int, risk: float) -> int:
    """How many of the paths may run dry, compared as `afford` compares their share with the risk."""
    return int(np.flatnonzero(np.arange(count) / count <= risk)[-1])


def _rounded_down(amount: float, scale: int) -> Decimal | None:
    if amount < 0:
        return None
    # More than the largest amount that is accepted anywhere cannot be asked for.
    return Decimal(int(min(amount, MOST_AMOUNT) * (1 - _ROUNDING) * 10**scale)).scaleb(-scale)
