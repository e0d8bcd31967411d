"""Rolling origins over one data set, and the scores with their uncertainty."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from benchmarks.forecast.data import Series
from benchmarks.forecast.methods import METHODS, SLOW
from benchmarks.forecast.scores import DAILY, HORIZON, SCORES, TRAINING, Array, score

_RESAMPLES = 1000
_PLACE = {name: place for place, name in enumerate(SCORES)}


@dataclass(frozen=True, slots=True)
class Scored:
    """One method's scores on one data set."""

    series: Array
    """(cells,): the series of each row."""
    origins: Array
    """(cells,): the column of the first day that is forecast."""
    scores: Array
    """(cells, len(SCORES))"""
    shared: Array
    """(cells,): whether the slow methods were included."""

    def only(self, chosen: Array) -> Scored:
        """Return the chosen cells, by a mask of (cells,)."""
        return Scored(self.series[chosen], self.origins[chosen], self.scores[chosen], self.shared[chosen])


def run(
    table: Series,
    *,
    series: int,
    origins: int,
    slow_series: int,
    names: list[str],
    first: date = date(2025, 1, 1),
    training: int = TRAINING,
) -> dict[str, Scored]:
    """Run every method at `origins` evenly spaced days for a sample of `series` (all, if there are fewer).

    `training` days are known at each origin; `first` is the day of the first column. A series without any event in the
    training days is skipped at that origin, for every method. The last origins have no total of 90 days.
    """
    count, days = table.shape
    chosen = np.sort(np.random.default_rng(1).choice(count, min(series, count), replace=False))
    slow = set(chosen[:: max(1, len(chosen) // slow_series)].tolist())
    asked = np.linspace(training, days - DAILY, origins).astype(int)
    slow_origins = {asked[origins // 4], asked[(3 * origins) // 4]}
    found: dict[str, list[tuple[int, int, Array, bool]]] = {name: [] for name in names}
    for origin in asked.tolist():
        rows = chosen[table[chosen, origin - training : origin].sum(axis=1) > 0]
        few = [row for row in rows.tolist() if row in slow] if origin in slow_origins else []
        for name in names:
            picked = np.array(few, dtype=int) if name in SLOW else rows
            past, future = table[picked, origin - training : origin], table[picked, origin : origin + HORIZON]
            as_of = first + timedelta(days=origin - 1)
            for place, answer in enumerate(METHODS[name](past, as_of)) if len(picked) else ():
                row = int(picked[place])
                found[name].append((row, origin, score(answer, past[place], future[place], table[row]), row in few))
    return {
        name: Scored(
            np.array([row for row, _, _, _ in cells]),
            np.array([origin for _, origin, _, _ in cells]),
            np.array([scores for _, _, scores, _ in cells]).reshape(-1, len(SCORES)),
            np.array([is_shared for _, _, _, is_shared in cells], dtype=bool),
        )
        for name, cells in found.items()
    }


def mean(scored: Scored, name: str) -> float:
    """Mean of one score over the cells that have it; NaN if none has."""
    values = scored.scores[:, _PLACE[name]]
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def by_origin(scored: Scored, name: str) -> Iterator[tuple[int, float]]:
    """Yield each origin and the mean of one score over its series; origins without the score are left out."""
    for origin in np.unique(scored.origins).tolist():
        value = mean(scored.only(scored.origins == origin), name)
        if np.isfinite(value):
            yield origin, value


def _cells(scored: Scored, name: str) -> dict[tuple[int, int], float]:
    keys = zip(scored.series.tolist(), scored.origins.tolist(), strict=True)
    values = scored.scores[:, _PLACE[name]].tolist()
    return {key: value for key, value in zip(keys, values, strict=True) if np.isfinite(value)}


def interval(top: Scored, name: str, bottom: Scored | None = None, other: str | None = None) -> tuple[float, ...]:
    """A mean, or the ratio of two, with its 95 % interval clustered by series and by origin.

    Series and origins are resampled independently, and a cell counts as often as its series times its origin: the
    pigeonhole bootstrap (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1 (2), 2007). It is slightly
    conservative, and with few origins the interval is wide: the accounts of one origin share its surprises.
    """
    above = _cells(top, name)
    below = dict.fromkeys(above, 1.0) if bottom is None else _cells(bottom, other or name)
    keys = [key for key in sorted(above) if key in below]
    rows, columns = (
        {value: place for place, value in enumerate(sorted({key[axis] for key in keys}))} for axis in (0, 1)
    )
    over, each = np.zeros((2, len(rows), len(columns)))
    for row, column in keys:
        over[rows[row], columns[column]] = above[row, column]
        each[rows[row], columns[column]] = below[row, column]
    rng = np.random.default_rng(2)
    by_series = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), _RESAMPLES)
    by_time = rng.multinomial(len(columns), np.full(len(columns), 1 / len(columns)), _RESAMPLES)
    drawn = ((by_series @ over) * by_time).sum(axis=1) / ((by_series @ each) * by_time).sum(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(over.sum() / each.sum()), float(low), float(high)
