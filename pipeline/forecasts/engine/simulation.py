"""Step 7: draw joint sample paths of each account's daily spend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine.arrays import Floats, running_sums
from pipeline.forecasts.engine.histories import Histories
from pipeline.forecasts.engine.path_models import BlockModel, DonorModel, PathModel
from pipeline.forecasts.engine.pool import Pool
from pipeline.forecasts.engine.regimes import Regimes
from pipeline.forecasts.engine.sampling import (
    draw_block_ages,
    draw_shocks,
    draw_time_constants,
    generator,
    growth,
    level_logs,
    width_factors,
)
from pipeline.forecasts.engine.shared_shocks import SharedShocks
from pipeline.forecasts.engine.weekly_levels import BLOCK_TIME_CONSTANTS, BLOCK_WEEKS

_SHIFTED_SHARE: Final = 0.3
"""Share of blocks that start up to three days off: an account has few weeks, and a month of them repeats itself."""

_DONOR_DRIFT: Final = 0.1
"""Log standard deviation over four weeks of a level that less than a week supports; small beside how uncertain the
level itself is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """What is drawn. The same draws from the same model give the same paths."""

    horizon_days: int
    paths: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSpend:
    """The sample paths of one account, days first: the layout in which sums over days are fast."""

    row: int
    """Position of the account in `Histories`."""
    amounts: Floats
    """(horizon, paths): spend a day in money, plans and known charges included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Sample paths of one account, as callers get them."""

    account_id: str
    as_of: date
    method: str
    history_days: int
    amounts: NDArray[np.float64]
    """(paths, horizon): spend a day in money, plans and known charges on their days. The first column is the day after
    `as_of`."""
    charges: Floats
    """(horizon,): the known charges that `amounts` includes."""
    _sums: list[Floats] = field(init=False, default_factory=list, repr=False, compare=False)

    def sums(self) -> Floats:
        """Return (horizon, paths): spend from the first day to the end of each. Computed once, not to be changed."""
        if not self._sums:
            self._sums.append(running_sums(np.ascontiguousarray(self.amounts.T)))
        return self._sums[0]

    def dates(self) -> list[date]:
        """Return the days of the columns."""
        return [self.as_of + timedelta(days=1 + day) for day in range(self.amounts.shape[1])]


def simulated_spend(
    models: Iterable[PathModel], regimes: Regimes, pool: Pool, draws: Draws
) -> Iterator[SimulatedSpend]:
    """Yield the paths of each model as they are drawn: one account's are in memory at a time."""
    histories = regimes.histories
    weeks = -(-draws.horizon_days // 7)
    shocks = SharedShocks(pool=pool, as_of=histories.as_of, weeks=weeks, paths=draws.paths, seed=draws.seed)
    season = pool.yearly().factors(weeks)
    sizes = shocks.season()
    for model in models:
        since = model.weeks_since if isinstance(model, BlockModel) else 0
        shared = shocks.logs(histories.vendors[model.row], since)
        rng = generator(histories.ids[model.row], stream=0, seed=draws.seed)
        if isinstance(model, BlockModel):
            amounts = _draw_blocks(model, pool, rng, draws, shared, season, sizes)
        else:
            amounts = _draw_donors(model, rng, draws, shared)
        _add_known(amounts, histories, model.row)
        yield SimulatedSpend(row=model.row, amounts=amounts)


def _add_known(amounts: Floats, histories: Histories, row: int) -> None:
    """Add an account's plans and known charges to `amounts`, (horizon, paths), in place."""
    multipliers, planned, charges = histories.multipliers[row], histories.planned[row], histories.charges[row]
    for day in np.flatnonzero((multipliers != 1.0) | (planned != 0.0) | (charges != 0.0)):
        amounts[day] = amounts[day] * multipliers[day] + planned[day] + charges[day]


def paths_of(regimes: Regimes, simulated: SimulatedSpend, sums: Floats | None = None) -> Paths:
    """Return an account's paths in the layout of Paths; the amounts are a copy. `sums` are theirs, if known already."""
    row, histories = simulated.row, regimes.histories
    paths = Paths(
        account_id=histories.ids[row],
        as_of=histories.as_of,
        method=regimes.methods[row],
        history_days=int(regimes.history_days[row]),
        amounts=np.ascontiguousarray(simulated.amounts.T),
        charges=histories.charges[row],
    )
    if sums is not None:
        paths._sums.append(sums)
    return paths


def _draw_blocks(
    model: BlockModel,
    pool: Pool,
    rng: np.random.Generator,
    draws: Draws,
    shared: Floats,
    season: Floats,
    sizes: Floats,
) -> Floats:
    """Return (horizon, paths): spend a day in money, without known charges.

    `shared` is (weeks, paths), the logs of the shared moves; `season` is (weeks, TIME_CONSTANTS), its logs, and `sizes`
    (paths,) what they are multiplied by.
    """
    weeks = -(-draws.horizon_days // 7)
    constants = draw_time_constants(rng, model.weights, draws.paths)
    days: Floats = model.blocks.reshape(-1).take(_block_days(model, rng, constants, (weeks, draws.paths)))
    # A history that ended weeks ago has drifted in these weeks, too.
    ahead = model.weeks_since + weeks
    shocks = draw_shocks(rng, pool.shocks, draws.paths)
    logs = level_logs(model.deviation * width_factors(model.widths, ahead), shocks)[model.weeks_since :]
    if season.any():
        shared = shared + sizes * season[:, constants]
    factors = np.exp(logs + model.exposure * shared)
    level = model.levels[constants] * np.exp(model.uncertainty * rng.standard_normal(draws.paths))
    gain = np.broadcast_to((model.mean * level * factors)[:, None, :], days.shape)
    # Refunds do not grow with the level: one refund says nothing about the size of the next.
    days *= np.where(days < 0, model.mean, gain) if model.blocks.min() < 0 else gain
    np.minimum(days, model.cap, out=days)
    return days.reshape(weeks * 7, draws.paths)[: draws.horizon_days]


def _block_days(
    model: BlockModel, rng: np.random.Generator, constants: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Return (weeks, 7, paths): which of the model's days each day repeats; `shape` is (weeks, paths)."""
    last = len(model.blocks) - 1
    reach = min(model.week_count, BLOCK_WEEKS)
    starts = 7 * (last - draw_block_ages(rng, BLOCK_TIME_CONSTANTS[constants], reach, shape))
    uniform = rng.random(shape)
    # The same uniform number decides whether a block is shifted, and by how much of -3 to 3 days.
    shift = np.where(uniform < _SHIFTED_SHARE, np.floor(uniform * (7 / _SHIFTED_SHARE)) - 3.0, 0.0).astype(np.int64)
    starts = np.clip(starts + shift, 7 * (last + 1 - model.week_count), 7 * last)
    days: NDArray[np.int64] = starts[:, None, :] + np.arange(7)[None, :, None]
    return days


def _draw_donors(model: DonorModel, rng: np.random.Generator, draws: Draws, shared: Floats) -> Floats:
    """Return (horizon, paths): spend a day in money, without known charges. `shared` is (weeks, paths), in logs."""
    weeks = -(-draws.horizon_days // 7)
    level: Floats = np.full(draws.paths, model.level)
    if model.vendor_level is not None:
        # The vendor's accounts count as one more day, drawn for each path.
        mean, deviation = model.vendor_level
        another_day = np.exp(mean + deviation * rng.standard_normal(draws.paths))
        level = (model.observed.sum() + another_day) / (len(model.observed) + 1.0)
    level = level * np.exp(model.uncertainty * rng.standard_normal(draws.paths))
    donors = rng.integers(0, len(model.weeks), (weeks, draws.paths))
    # Weeks with a sum of 1 times 7 have a mean of 1 a day.
    shape = 7.0 * np.moveaxis(model.weeks[donors], 2, 1)
    drift = np.exp(_DONOR_DRIFT * growth(weeks)[:, None] * rng.standard_normal(draws.paths) + shared)
    days: Floats = (shape * (level * drift)[:, None, :]).reshape(weeks * 7, draws.paths)[: draws.horizon_days]
    return days
