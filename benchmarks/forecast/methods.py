"""The compared methods; each forecasts all series of one origin."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from benchmarks.forecast.scores import ASKED, BALANCES, DAILY, HORIZON, TOTALS, Answer, Array, from_paths, from_rate
from pipeline.forecasts import iterate_paths

Method = Callable[[Array, date], Iterator[Answer]]
"""From (series, days) of the past, and the last of these days."""


def drawdown(past: Array, as_of: date) -> Iterator[Answer]:
    """The library with its defaults, through its public function."""
    count, days = past.shape
    dates = [as_of - timedelta(days=days - 1 - day) for day in range(days)]
    spend = pl.DataFrame(
        {
            "account_id": np.repeat([f"{row:06d}" for row in range(count)], days),
            "date": pl.Series(dates, dtype=pl.Date).gather(np.tile(np.arange(days), count)),
            "spend_amount": past.ravel(),
        }
    )
    means = past.mean(axis=1)
    for row, found in enumerate(iterate_paths(spend, as_of, HORIZON)):
        yield from_paths(found.amounts.T, means[row])


def _mean_of(days: int) -> Method:
    def method(past: Array, as_of: date) -> Iterator[Answer]:
        del as_of
        for row in past:
            yield from_rate(row[-days:].mean(), row.mean())

    return method


def _straight_line(past: Array, as_of: date) -> Iterator[Answer]:
    """Least squares through the balance of the last 28 days."""
    del as_of
    day = np.arange(28) - 13.5
    for row in past:
        yield from_rate(float(day @ np.cumsum(row[-28:])) / float(day @ day), row.mean())


def _library(name: str) -> Method:
    """A model of statsforecast with its own intervals; totals are sums, as is common, because there are no paths."""

    def method(past: Array, as_of: date) -> Iterator[Answer]:
        from statsforecast import models

        del as_of
        levels = sorted({round(abs(1 - 2 * float(level)) * 100, 6) for level in ASKED if level != 0.5})
        for row in past:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                said: dict[str, Any] = getattr(models, name)(season_length=7).forecast(y=row, h=DAILY, level=levels)
            columns = []
            for level in ASKED:
                width = round(abs(1 - 2 * float(level)) * 100, 6)
                columns.append(said["mean"] if level == 0.5 else said[f"{'lo' if level < 0.5 else 'hi'}-{width}"])
            daily = np.sort(np.stack(columns, axis=1)[:, np.argsort(ASKED)], axis=1)[:, np.argsort(np.argsort(ASKED))]
            totals = np.full((len(TOTALS), len(ASKED)), np.nan)
            for place, days in enumerate(TOTALS):
                if days <= DAILY:
                    totals[place] = daily[:days].sum(axis=0)
            yield Answer(daily, totals, np.full((len(BALANCES), HORIZON), np.nan))

    return method


METHODS: dict[str, Method] = {
    "Drawdown": drawdown,
    "mean of the last 7 days": _mean_of(7),
    "mean of the last 28 days": _mean_of(28),
    "straight line through the balance": _straight_line,
    "SeasonalNaive": _library("SeasonalNaive"),
    "ConformalSeasonalPool": _library("ConformalSeasonalPool"),
    "AutoETS": _library("AutoETS"),
}
SLOW = {"AutoETS"}
"""A tenth of a second for each series, so they get a sample of the series and two origins."""
