"""Forecasts of daily spend: joint sample paths, and what is read off them.

Needs numpy and polars and nothing else; knows no vendor, no warehouse and no Dagster.
"""

from pipeline.forecasts.engine import (
    QUANTILES,
    Forecast,
    InputError,
    Paths,
    first_passage,
    forecast,
    iterate_paths,
    passed_by_day,
)

__all__ = [
    "QUANTILES",
    "Forecast",
    "InputError",
    "Paths",
    "first_passage",
    "forecast",
    "iterate_paths",
    "passed_by_day",
]
