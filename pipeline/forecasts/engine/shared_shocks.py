"""Draws that all accounts share: path k of every account has the same fleet, the same vendor and the same season."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import NormalDist
from typing import Final

import numpy as np

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.pool import PRIOR_LESSONS, Pool, SharedDeviation
from pipeline.forecasts.engine.sampling import generator, growth, width_middles

_MOVES, _SPELL, _SEASON, _END = 2, 3, 4, 5
"""Streams of random numbers, as in `sampling.generator`."""

_LARGEST_MOVE: Final = 5.0
"""Limit of a shared move, in standard deviations: a t distribution of few degrees of freedom has no end."""

_MOST_FREEDOM: Final = 8.0
"""Limit of the degrees of freedom: many periods without a shock are no proof that the tails are those of a normal
distribution."""

_SPELLS, _SPELL_PERIODS = 2.2, 38.0
"""Spells of very unusual spend, such as a shutdown over a holiday season, that are assumed to have been seen, in how
many periods of four weeks. They are rare enough to leave the 80 % band alone, and end the 95 % band."""

_FALLS: Final = 0.8
"""Share of spells in which less is spent."""

_SPELL_WEEKS: Final = (7, 13)
"""Shortest spell in weeks, and the first length that is too long."""

_FALL_SIZES, _RISE_SIZES = (0.7, 1.2), (0.3, 0.7)
"""Least and largest log size of a spell: a fall by 50 to 70 %, and a rise by 35 to 100 %."""

_YEAR_END_DEVIATION: Final = 0.2
"""Log standard deviation of the level from December to the middle of January, where no year is known. With
0.15 to 0.25, totals of the market panel scored 2 to 5 % better than without, and those of the others within 2 %."""

_YEAR_END: Final = ((12, 1), (1, 15))
"""First and last day of the year's end."""

_SEASON_UNCERTAINTY: Final = 0.15
"""Deviation of a season's size from one year to the next, as a share of it."""


@dataclass(slots=True, kw_only=True)
class SharedShocks:
    """The shared moves of the level on each path, which depend only on the pool, the seed and the path."""

    pool: Pool
    as_of: date
    weeks: int
    paths: int
    seed: int
    _sizes: Floats | None = None
    _unusual: Floats | None = None
    _moves: dict[str, Floats] = field(default_factory=dict)
    """By scope: (paths,), in standard deviations."""
    _found: dict[str, Floats] = field(default_factory=dict)

    def season(self) -> Floats:
        """Return (paths,): what the season's logs are multiplied by."""
        if self._sizes is None:
            normal = self._quantiles(generator("", stream=_SEASON, seed=self.seed))
            self._sizes = 1.0 + _SEASON_UNCERTAINTY * normal
        return self._sizes

    def _quantiles(self, rng: np.random.Generator) -> Floats:
        """Return (paths,): normal numbers, one of each of as many equal shares of the distribution, shuffled.

        Independent ones would shift the bands of all accounts by the accident of these few.
        """
        normal = NormalDist()
        return rng.permutation([normal.inv_cdf((place + 0.5) / self.paths) for place in range(self.paths)])

    def logs(self, vendor: str, weeks_since: int = 0) -> Floats:
        """Return (weeks, paths): the log of what the levels of a vendor's accounts are multiplied by in each week.

        The levels of an account whose history ended weeks ago have moved in these weeks, too.
        """
        if weeks_since:
            fleet = self._moved("", weeks_since) + self._calendar()
            return fleet + self._moved(vendor, weeks_since) if vendor else fleet
        if vendor not in self._found:
            fleet = self.logs("") if vendor else self._calendar()
            self._found[vendor] = fleet + self._moved(vendor, 0)
        return self._found[vendor]

    def _moved(self, scope: str, weeks_since: int) -> Floats:
        shared = self.pool.deviation_of(scope)
        if shared is None:
            return np.zeros((self.weeks, self.paths))
        if scope not in self._moves:
            rng = generator(scope, stream=_MOVES, seed=self.seed)
            freedom = min(shared.freedom, _MOST_FREEDOM)
            spread = np.sqrt(freedom / rng.chisquare(freedom, self.paths))
            self._moves[scope] = np.clip(self._quantiles(rng) * spread, -_LARGEST_MOVE, _LARGEST_MOVE)
        by_week = deviations_by_week(shared, weeks_since + self.weeks)[weeks_since:]
        return by_week[:, None] * self._moves[scope]

    def _calendar(self) -> Floats:
        """Return (weeks, paths): the logs of unusual spells and of an unknown end of the year."""
        if self._unusual is None:
            self._unusual = self._spells() + self._year_end()
        return self._unusual

    def _spells(self) -> Floats:
        """Return (weeks, paths): the log size of an unusual spell, at most one a path; 0 where there is none."""
        shared = self.pool.deviation_of("")
        if shared is None:
            return np.zeros((self.weeks, self.paths))
        rng = generator("", stream=_SPELL, seed=self.seed)
        share = _SPELLS / (_SPELL_PERIODS + shared.freedom - PRIOR_LESSONS)
        uniform = rng.permutation((np.arange(self.paths) + 0.5) / self.paths)
        length = rng.integers(*_SPELL_WEEKS, self.paths)
        uniform_size = rng.random(self.paths)
        fall, rise = (low + (high - low) * uniform_size for low, high in (_FALL_SIZES, _RISE_SIZES))
        size = np.where(uniform < share * _FALLS, -fall, np.where(uniform < share, rise, 0.0))
        week = np.arange(self.weeks)[:, None]
        return np.where(week < length, size, 0.0)

    def _year_end(self) -> Floats:
        """Return (weeks, paths): the unknown season of the weeks around the year's end; 0 where it is known."""
        days = [self.as_of + timedelta(days=7 * week + 4) for week in range(self.weeks)]
        is_end = np.array([_is_year_end(day) for day in days], dtype=bool) | _is_year_end(self.as_of)
        if self.pool.yearly().is_known or not is_end.any() or self.pool.deviation_of("") is None:
            return np.zeros((self.weeks, self.paths))
        moves = _YEAR_END_DEVIATION * self._quantiles(generator("", stream=_END, seed=self.seed))
        return np.where(is_end[:, None], moves, 0.0)


def _is_year_end(day: date) -> bool:
    first, last = _YEAR_END
    return (day.month, day.day) >= first or (day.month, day.day) <= last


def deviations_by_week(shared: SharedDeviation, weeks: int) -> Floats:
    """Return (weeks,): log standard deviation of the level in each week, so that totals have that of `shared`."""
    middles = width_middles()
    relative = np.log(np.maximum(shared.logs, 1e-9) / np.sqrt(0.3 + 0.7 * middles / 2.5))
    by_week = np.interp(np.log(np.arange(1, weeks + 1)), np.log(middles), relative)
    return growth(weeks) * np.exp(by_week)
