"""The forecaster's interface, and the order of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.forecast_summary import Forecast, summarize
from pipeline.forecasts.engine.group_totals import read_groups
from pipeline.forecasts.engine.histories import QUANTILES, InputError, read_histories
from pipeline.forecasts.engine.path_models import CHUNK, path_models
from pipeline.forecasts.engine.pool import Pool, from_frame, to_frame
from pipeline.forecasts.engine.pool_building import build_pool
from pipeline.forecasts.engine.regimes import Regimes, current_regimes
from pipeline.forecasts.engine.simulation import Draws, Paths, SimulatedSpend, paths_of, simulated_spend
from pipeline.forecasts.engine.teachers import TeacherSelection, choose_teachers
from pipeline.schema.limits import HORIZON_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Simulation:
    """What the steps up to the simulation yield."""

    regimes: Regimes
    pool: Pool
    spend: Iterator[SimulatedSpend]
    """Drawn as they are read, in the order of the accounts, and read once."""


def _simulate(
    spend: pl.DataFrame,
    as_of: date,
    draws: Draws,
    *,
    balances: pl.DataFrame | None,
    known_charges: pl.DataFrame | None,
    priors: pl.DataFrame | None,
    planned: pl.DataFrame | None,
    pool: pl.DataFrame | None,
    chunk: int,
) -> _Simulation:
    """Run the steps in their order; `build_pool` has those of the pool."""
    histories = read_histories(
        spend,
        as_of,
        draws.horizon_days,
        balances=balances,
        known_charges=known_charges,
        priors=priors,
        planned=planned,
    )
    regimes = current_regimes(histories)
    learned = build_pool(choose_teachers(regimes)) if pool is None else from_frame(pool)
    models = path_models(regimes, learned, chunk)
    simulated = simulated_spend(models, regimes, learned, draws)
    return _Simulation(regimes=regimes, pool=learned, spend=simulated)


def forecast(
    spend: pl.DataFrame,
    as_of: date,
    horizon_days: int = HORIZON_DAYS,
    balances: pl.DataFrame | None = None,
    known_charges: pl.DataFrame | None = None,
    quantiles: Sequence[float] = QUANTILES,
    pool: pl.DataFrame | None = None,
    seed: int = 0,
    *,
    priors: pl.DataFrame | None = None,
    planned: pl.DataFrame | None = None,
    paths: int = 1000,
    groups: pl.DataFrame | None = None,
    chunk: int = CHUNK,
    on_paths: Callable[[Paths], None] | None = None,
) -> Forecast:
    """Forecast the spend of accounts and when their balances run out.

    - `spend`: account_id, date, spend_amount (Decimal or number; refunds below zero), optionally vendor. A missing day
      is unobserved, not zero. Without top-ups, without the known charges and without plans (`usual_spend`).
    - `as_of`: the last whole day; later rows are rejected.
    - `balances`: account_id, balance_amount at the end of `as_of`, optionally threshold_amount.
    - `known_charges`: account_id, date, charge_amount; they are added on their day.
    - `priors`: account_id, mean_daily_amount: an external estimate, for accounts with no day observed.
    - `planned`: account_id, date, planned_amount (in addition, 0 for none), multiplier (of what is drawn for the day, 1
      for none). A day is multiplied first. Of several rows for a day, amounts add up and multipliers multiply.
    - `pool`: the `.pool` of another result, in place of what these accounts would learn from each other.
    - `groups`: account_id, group_id: groups, such as teams, whose totals are wanted in `.groups`. An account may be in
      several. Amounts are added up as they are: the accounts of a group must be held in one unit.
    - `on_paths`: called with each account's sample paths as they are drawn, those that `iterate_paths` yields.

    The same arguments give the same numbers, whatever the order of rows and the size of `chunk`. Raises InputError.
    """
    draws = _checked_draws(horizon_days=horizon_days, paths=paths, chunk=chunk, seed=seed)
    levels = _checked_quantiles(quantiles)
    simulation = _simulate(
        spend,
        as_of,
        draws,
        balances=balances,
        known_charges=known_charges,
        priors=priors,
        planned=planned,
        pool=pool,
        chunk=chunk,
    )
    totals = read_groups(groups, simulation.regimes.histories.ids)
    return summarize(simulation.spend, simulation.regimes, simulation.pool, levels, totals, on_paths)


def iterate_paths(
    spend: pl.DataFrame,
    as_of: date,
    horizon_days: int = HORIZON_DAYS,
    *,
    balances: pl.DataFrame | None = None,
    known_charges: pl.DataFrame | None = None,
    priors: pl.DataFrame | None = None,
    planned: pl.DataFrame | None = None,
    pool: pl.DataFrame | None = None,
    seed: int = 0,
    paths: int = 1000,
    chunk: int = CHUNK,
) -> Iterator[Paths]:
    """Yield the sample paths behind `forecast`, an account at a time, in the order of their ids. Same arguments.

    One account's paths are in memory at a time. Accounts that cannot be forecast are left out. Raises InputError.
    """
    draws = _checked_draws(horizon_days=horizon_days, paths=paths, chunk=chunk, seed=seed)
    simulation = _simulate(
        spend,
        as_of,
        draws,
        balances=balances,
        known_charges=known_charges,
        priors=priors,
        planned=planned,
        pool=pool,
        chunk=chunk,
    )
    for simulated in simulation.spend:
        yield paths_of(simulation.regimes, simulated)


def learn_pool(spend: pl.DataFrame | Iterable[pl.DataFrame], as_of: date) -> pl.DataFrame:
    """Return what these accounts learn from each other: the `.pool` of their forecast, without a forecast.

    `spend` may come in batches, each with all days of its accounts, of which one is in memory at a time: the pool is
    the same, whatever their size and order. Raises InputError.
    """
    selection = TeacherSelection()
    for batch in [spend] if isinstance(spend, pl.DataFrame) else spend:
        selection.add(current_regimes(read_histories(batch, as_of, horizon_days=1)))
    return to_frame(build_pool(selection.teachers()))


def _checked_draws(*, horizon_days: int, paths: int, chunk: int, seed: int) -> Draws:
    for name, count in (("horizon_days", horizon_days), ("paths", paths), ("chunk", chunk), ("seed", seed)):
        least = 0 if name == "seed" else 1
        if count < least:
            raise InputError(f"{name} is {count}; it must be {least} or more")
    return Draws(horizon_days=horizon_days, paths=paths, seed=seed)


def _checked_quantiles(quantiles: Sequence[float]) -> Floats:
    asked = np.array(quantiles, dtype=np.float64)
    if asked.ndim != 1 or not len(asked) or not ((asked > 0) & (asked < 1)).all() or (np.diff(asked) <= 0).any():
        raise InputError(f"quantiles {list(quantiles)} must rise between 0 and 1")
    return asked
