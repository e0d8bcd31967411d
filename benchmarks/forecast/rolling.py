"""Rolling origins over one data set, and the scores with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.forecast.data import Series
from benchmarks.forecast.methods import METHODS, SLOW
from benchmarks.forecast.scores import HORIZON, SCORES, TRAINING, Array, score

_RESAMPLES = 1000
_PLACE = {name: place for place, name in enumerate(SCORES)}


@dataclass(frozen=True, slots=True)
class Scored:
    """One method's scores on one data set."""

    series: Array
    """(cells,): the series of each row."""
    scores: Array
    """(cells, len(SCORES))"""
    shared: Array
    """(cells,): whether the slow methods were included."""


def run(table: Series, *, series: int, origins: int, slow_series: int, names: list[str]) -> dict[str, Scored]:
    """Run every method at `origins` evenly spaced days for a sample of `series` (all, if there are fewer).

    A series without any event in the training days is skipped at that origin, for every method.
    """
    count, days = table.shape
    chosen = np.sort(np.random.default_rng(1).choice(count, min(series, count), replace=False))
    slow = set(chosen[:: max(1, len(chosen) // slow_series)].tolist())
    asked = np.linspace(TRAINING, days - HORIZON, origins).astype(int)
    slow_origins = {asked[origins // 4], asked[(3 * origins) // 4]}
    found: dict[str, list[tuple[int, Array, bool]]] = {name: [] for name in names}
    for origin in asked:
        rows = chosen[table[chosen, origin - TRAINING : origin].sum(axis=1) > 0]
        few = [row for row in rows.tolist() if row in slow] if origin in slow_origins else []
        for name in names:
            picked = np.array(few, dtype=int) if name in SLOW else rows
            past, future = table[picked, origin - TRAINING : origin], table[picked, origin : origin + HORIZON]
            for place, answer in enumerate(METHODS[name](past)) if len(picked) else ():
                row = int(picked[place])
                found[name].append((row, score(answer, past[place], future[place], table[row]), row in few))
    return {
        name: Scored(
            np.array([row for row, _, _ in cells]),
            np.array([scores for _, scores, _ in cells]).reshape(-1, len(SCORES)),
            np.array([is_shared for _, _, is_shared in cells], dtype=bool),
        )
        for name, cells in found.items()
    }


def _by_series(scored: Scored, name: str) -> tuple[dict[int, float], dict[int, int]]:
    values = scored.scores[:, _PLACE[name]]
    sums: dict[int, float] = {}
    counts: dict[int, int] = {}
    for row, value in zip(scored.series.tolist(), values.tolist(), strict=True):
        if np.isfinite(value):
            sums[row] = sums.get(row, 0.0) + value
            counts[row] = counts.get(row, 0) + 1
    return sums, counts


def mean(scored: Scored, name: str) -> float:
    """Mean of one score over the cells that have it; NaN if none has."""
    values = scored.scores[:, _PLACE[name]]
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def interval(top: Scored, name: str, bottom: Scored | None = None, other: str | None = None) -> tuple[float, ...]:
    """A mean, or the ratio of two, with its 95 % interval from resampling whole series with all their origins."""
    above, cells = _by_series(top, name)
    rows = sorted(above)
    if bottom is None:
        over, each = np.array([above[row] for row in rows]), np.array([float(cells[row]) for row in rows])
    else:
        below, _ = _by_series(bottom, other or name)
        rows = [row for row in rows if row in below]
        over, each = np.array([above[row] for row in rows]), np.array([below[row] for row in rows])
    drawn = np.random.default_rng(2).multinomial(len(rows), np.full(len(rows), 1 / len(rows)), _RESAMPLES)
    low, high = np.quantile((drawn @ over) / (drawn @ each), [0.025, 0.975])
    return float(over.sum() / each.sum()), float(low), float(high)
