"""Month ends: the product's own backtest over the development data, by day of the month."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import polars as pl

from benchmarks.forecast.data import Series
from pipeline.forecasts.backtest import backtest

PANELS = ("retail", "flights")
"""The panels whose month ends are measured."""
_LEAST, _MOST = 0.75, 0.85


def _spend(table: Series, first: date, series: int) -> pl.DataFrame:
    """Rows of a sample of the series; a day before a series begins has none."""
    count, days = table.shape
    chosen = np.sort(np.random.default_rng(3).choice(count, min(series, count), replace=False))
    dates = [first + timedelta(days=day) for day in range(days)]
    return pl.concat(
        pl.DataFrame({"account_id": str(row), "date": dates, "spend_amount": table[row]}).filter(
            pl.col("spend_amount").is_finite()
        )
        for row in chosen.tolist()
    )


def measure(name: str, table: Series, first: date, series: int) -> Iterator[str]:
    """Yield the table's lines for one panel: coverage of all month ends, and by week of the month."""
    found = backtest(_spend(table, first, series), horizons=[31])
    for row in found.month_ends.filter(pl.col("account_id") == "*").to_dicts():
        is_whole = row["last_issue_day_number"] - row["first_issue_day_number"] > 7
        held = row["coverage_80_ratio"]
        verdict = ("reached" if _LEAST <= held <= _MOST else "**not reached**") if is_whole else ""
        yield (
            f"| {name if is_whole else ''} | {row['first_issue_day_number']} to {row['last_issue_day_number']} | "
            f"{row['forecast_count']:,} | {row['month_count']} | {held:.3f} | {row['coverage_90_ratio']:.3f} | "
            f"{row['pinball_ratio']:.2f} | {f'{_LEAST:g} to {_MOST:g}' if is_whole else ''} | {verdict} |"
        )


HEAD = (
    "| data | forecast on days | forecasts | months | within 80 % | within 90 % | loss / 28-day mean | goal | |",
    "|---|---|---|---|---|---|---|---|---|",
)
