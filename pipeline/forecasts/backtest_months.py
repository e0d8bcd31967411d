"""Coverage by month, which shows what coverage over all months hides."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.backtest_origins import Origins
from pipeline.forecasts.backtest_scores import ALL, groups

MONTHS: Final = {
    "forecaster": pl.String,
    "horizon_days": pl.Int64,
    "target_month": pl.Date,
    "forecast_count": pl.Int64,
    "account_count": pl.Int64,
    "origin_count": pl.Int64,
    "coverage_80_ratio": pl.Float64,
    "below_80_ratio": pl.Float64,
    "above_80_ratio": pl.Float64,
}


def target_month(as_of: date, horizon_days: int) -> date:
    """Return the first day of the month of a horizon's middle day, in which about half of its days or more are."""
    return (as_of + timedelta(days=(horizon_days + 1) // 2)).replace(day=1)


def month_rows(origins: Origins, forecaster: str, scored: NDArray[np.bool_], side: NDArray[np.int8]) -> pl.DataFrame:
    """Return the table MONTHS of one forecaster, all accounts that spend together.

    `scored` and `side` are (accounts, horizons, origins): whether there is a forecast, and -1 for a total below its
    80 % band, 1 above, 0 within.
    """
    (_, members), *_ = groups(origins.grid, ALL)
    rows = []
    for place, horizon in enumerate(origins.horizons):
        months = np.array([target_month(origins.as_of(number), horizon) for number in range(len(origins.columns))])
        for month in sorted(set(months)):
            there = np.ix_(np.array(members, dtype=np.int64), np.flatnonzero(months == month))
            is_counted, sides = scored[:, place][there], side[:, place][there]
            count = int(is_counted.sum())
            if count:
                below, above = (int((is_counted & (sides == which)).sum()) for which in (-1, 1))
                rows.append(
                    (
                        forecaster,
                        horizon,
                        month,
                        count,
                        int(is_counted.any(axis=1).sum()),
                        int(is_counted.any(axis=0).sum()),
                        (count - below - above) / count,
                        below / count,
                        above / count,
                    )
                )
    return pl.DataFrame(rows, schema=MONTHS, orient="row")
