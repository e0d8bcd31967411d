"""The forecaster: from the days of the past to joint sample paths of those to come.

Histories are checked; each account's own weeks since its newest regime are learned, and what accounts take from each
other; how wide the paths must be is calibrated on the past; then they are drawn and read off.
"""

from pipeline.forecasts.engine.forecaster import Forecast, forecast, iterate_paths, learn_pool
from pipeline.forecasts.engine.histories import QUANTILES, InputError
from pipeline.forecasts.engine.passage import first_passage, passed_by_day
from pipeline.forecasts.engine.simulate import Paths

__all__ = [
    "QUANTILES",
    "Forecast",
    "InputError",
    "Paths",
    "first_passage",
    "forecast",
    "iterate_paths",
    "learn_pool",
    "passed_by_day",
]
