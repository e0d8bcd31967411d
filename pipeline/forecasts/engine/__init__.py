"""The forecaster: from the days of the past to joint sample paths of those to come.

The steps, one module each, in the order of `forecaster`:

1. `histories`: check the arguments and lay out the days -> Histories
2. `regimes`: cut each history at its newest level shift, and choose the method -> Regimes
3. `weekly_levels`: the weeks, and the level at six time constants -> WeeklyLevels
4. `level_drift`: how far the level drifts beyond that -> LevelDrift
5. `teachers`: choose the accounts that the others learn from -> Teachers; `pool_building`: what they teach -> Pool. Its
   own steps are 3, `roughness_groups` -> RoughnessGroups, `shared_moves` -> SharedMoves, 4, `pooled_drift` ->
   PooledDrift, `calibration` -> the widths of the pool
6. `path_models`: steps 3 and 4 of each account, combined with the pool -> BlockModel or DonorModel
7. `simulation`: sample paths -> SimulatedSpend, or Paths for callers; `shared_shocks` draws what all paths share
8. `forecast_summary`, with `passage`, `summary_rows` and `group_totals`: quantiles and runway -> Forecast

`arrays` and `sampling` hold what several steps share; `planned_days` prepares past days with a plan for the caller;
`scoring` compares forecasts with what came.
"""

from pipeline.forecasts.engine.forecast_summary import Forecast
from pipeline.forecasts.engine.forecaster import forecast, iterate_paths, learn_pool
from pipeline.forecasts.engine.histories import QUANTILES, InputError
from pipeline.forecasts.engine.passage import first_passage, passed_by_day
from pipeline.forecasts.engine.planned_days import usual_spend
from pipeline.forecasts.engine.simulation import Paths

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
    "usual_spend",
]
