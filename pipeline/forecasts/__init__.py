"""Forecasts of daily spend: joint sample paths, and what is read off them.

Needs numpy and polars and nothing else; knows no vendor, no warehouse and no Dagster.
"""

from pipeline.forecasts.engine import Forecast, forecast, iterate_paths
from pipeline.forecasts.histories import QUANTILES, InputError
from pipeline.forecasts.passage import first_passage, passed_by_day
from pipeline.forecasts.simulate import Paths

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
