"""Two made-up fleets whose accounts move together: a yearly shock, and a shared level.

python -m benchmarks.forecast.fleets
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import polars as pl

from benchmarks.forecast.data import Series
from benchmarks.forecast.scores import Array, at
from pipeline.forecasts import iterate_paths

_FIRST = date(2023, 1, 2)
_SHOCK_DAYS = 21
_SHOCK_PLACES = (40, 131, 222, 292, 355)
"""Days of the year on which the shock begins, one fleet for each."""
_LEADS = (0, 7, 14, 21, 28)
"""Days between the day of issue and the first day of the shock."""
_EDGES = np.array([0.025, 0.1, 0.9, 0.975])
_ACCOUNTS = 50


def _rows(past: Series, as_of: date) -> pl.DataFrame:
    count, days = past.shape
    dates = [as_of - timedelta(days=days - 1 - day) for day in range(days)]
    return pl.DataFrame(
        {
            "account_id": np.repeat([f"{row:03d}" for row in range(count)], days),
            "date": pl.Series(dates, dtype=pl.Date).gather(np.tile(np.arange(days), count)),
            "spend_amount": past.ravel(),
        }
    )


def _noise(rng: np.random.Generator, days: int) -> Series:
    weekday = np.array([1.2, 1.1, 1.1, 1.1, 1.0, 0.8, 0.7])[np.arange(days) % 7]
    found: Series = np.exp(rng.normal(3, 1, (_ACCOUNTS, 1))) * weekday * rng.gamma(4, 0.25, (_ACCOUNTS, days))
    return found


def shock_coverage(known_days: int) -> tuple[float, float]:
    """Return how often the totals of three weeks, in which every account halves, were inside 80 % and 95 % bands.

    The three weeks return every year; `known_days` before each day of issue are known.
    """
    inside = []
    for number, place in enumerate(_SHOCK_PLACES):
        rng = np.random.default_rng(number)
        days = 3 * 365 + _SHOCK_DAYS
        table = _noise(rng, days + place)
        for year in range(4):
            table[:, place + 365 * year : place + 365 * year + _SHOCK_DAYS] *= 0.5
        begin = place + 3 * 365
        came = table[:, begin : begin + _SHOCK_DAYS].sum(axis=1)
        for lead in _LEADS:
            issued = begin - lead
            spend = _rows(table[:, issued - known_days : issued], _FIRST + timedelta(days=issued - 1))
            for row, found in enumerate(iterate_paths(spend, _FIRST + timedelta(days=issued - 1), lead + _SHOCK_DAYS)):
                low95, low80, high80, high95 = at(found.amounts[:, lead:].sum(axis=1), _EDGES)
                inside.append((low80 <= came[row] <= high80, low95 <= came[row] <= high95))
    within80, within95 = np.mean(inside, axis=0).tolist()
    return within80, within95


def fleet_coverage(fleets: int = 80) -> tuple[float, float, float]:
    """Return how often a fleet's total of 30 days was inside bands: the joint 80 % and 95 % ones, and independent 80 %.

    The 50 accounts of each fleet share a level that wanders by 8 % a week; 180 days are known. Independent bands are
    those of the same paths when every account draws its own: the paths of each are shuffled before they are added up.
    """
    inside = []
    for number in range(fleets):
        rng = np.random.default_rng(1000 + number)
        level = np.exp(np.repeat(np.cumsum(rng.normal(0, 0.08, 30)), 7))
        table = _noise(rng, 210) * level
        as_of = _FIRST + timedelta(days=179)
        joint, apart = np.zeros((2, 1000))
        for found in iterate_paths(_rows(table[:, :180], as_of), as_of, 30):
            totals: Array = found.amounts.sum(axis=1)
            joint += totals
            apart += rng.permutation(totals)
        came = table[:, 180:].sum()
        low95, low80, high80, high95 = at(joint, _EDGES)
        _, low_apart, high_apart, _ = at(apart, _EDGES)
        inside.append((low80 <= came <= high80, low95 <= came <= high95, low_apart <= came <= high_apart))
    joint80, joint95, apart80 = np.mean(inside, axis=0).tolist()
    return joint80, joint95, apart80


def measure() -> Iterator[str]:
    """Yield the lines of the table."""

    yield "| made-up fleet | wanted | measured | |"
    yield "|---|---|---|---|"
    within80, within95 = shock_coverage(730)
    _, halved95 = shock_coverage(182)
    joint80, joint95, apart80 = fleet_coverage()
    for what, value, least, most in (
        ("yearly shock, two years known: its weeks inside the 80 % band", within80, 0.75, 0.85),
        ("inside the 95 % band", within95, 0.92, 1.0),
        ("half a year known: inside the 95 % band", halved95, 0.85, 1.0),
        ("50 accounts with a shared level: their total inside the 80 % band", joint80, 0.75, 0.85),
        ("inside the 95 % band", joint95, 0.92, 1.0),
        ("inside the 80 % band of independent accounts", apart80, 0.0, 0.6),
    ):
        verdict = "reached" if least <= value <= most else "**not reached**"
        yield f"| {what} | {least:.2f} to {most:.2f} | {value:.3f} | {verdict} |"


if __name__ == "__main__":
    for text in measure():
        print(text, flush=True)
