"""The forecaster: histories in, quantiles of days and of totals, and the runway out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.forecasts.engine import histories as reading
from pipeline.forecasts.engine.calibrate import build
from pipeline.forecasts.engine.histories import QUANTILES, Floats, Histories, InputError
from pipeline.forecasts.engine.level_walk import generator
from pipeline.forecasts.engine.passage import passed_by_day
from pipeline.forecasts.engine.pool import Pool, from_frame, to_frame
from pipeline.forecasts.engine.regimes import newest_regime
from pipeline.forecasts.engine.scoring import quantiles_of
from pipeline.forecasts.engine.simulate import BLOCK_DAYS, Paths, draw, draw_few, method_of, ready

CHUNK: Final = 256
"""Accounts that are looked at together: bounds memory, changes no number."""

_REASONS: Final = {
    "none": "nothing observed in the last 60 weeks and no estimate given",
    "prior": "nothing observed: an estimate with a wide range",
    "donors": "less than a week observed: the level is its own, the shape other accounts'",
    "weeks": "less than four weeks observed: its own weeks, a level that may be off",
    "blocks": "less than twelve weeks observed: its own weeks, a wandering level",
    "full": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What `forecast` returns. Amounts are Float64 money of each account's own unit; rows are sorted by their keys."""

    daily: pl.DataFrame
    """account_id, date, quantile, spend_amount."""
    total: pl.DataFrame
    """account_id, horizon_days (1 to H), quantile, spend_amount: of the sum of the first days, from joint paths."""
    runway: pl.DataFrame
    """account_id, date, depleted_probability, below_threshold_probability (null without a threshold): by that day's
    end, never falling. Only accounts with a balance."""
    methods: pl.DataFrame
    """account_id, method, history_days, is_abstained, reason. One row an account; the abstained have no other rows."""
    pool: pl.DataFrame
    """What the accounts learned from each other (statistic, vendor, position, value); pass it in as `pool` to get one
    account alone as it was among the others."""


def iterate_paths(
    spend: pl.DataFrame,
    as_of: date,
    horizon_days: int = 90,
    *,
    balances: pl.DataFrame | None = None,
    known_charges: pl.DataFrame | None = None,
    priors: pl.DataFrame | None = None,
    pool: pl.DataFrame | None = None,
    seed: int = 0,
    paths: int = 1000,
    chunk: int = CHUNK,
) -> Iterator[Paths]:
    """The sample paths behind `forecast`, account by account in the order of their ids; the arguments are the same.

    One account's paths are in memory at a time. Accounts that are abstained from are left out. Raises InputError.
    """
    _counts(horizon_days=horizon_days, paths=paths, chunk=chunk, seed=seed)
    known = _newest(
        reading.read(spend, as_of, horizon_days, balances=balances, known_charges=known_charges, priors=priors)
    )
    shared = build(known, _teaches(known)) if pool is None else from_frame(pool)
    for row, days in _drawn(known, horizon_days, shared, seed=seed, paths=paths, chunk=chunk):
        yield _paths(known, row, days, as_of)


def learn_pool(spend: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """What these accounts learn from each other: the `.pool` of their forecast, without a forecast."""
    known = _newest(reading.read(spend, as_of, 1))
    return to_frame(build(known, _teaches(known)))


def forecast(
    spend: pl.DataFrame,
    as_of: date,
    horizon_days: int = 90,
    balances: pl.DataFrame | None = None,
    known_charges: pl.DataFrame | None = None,
    quantiles: Sequence[float] = QUANTILES,
    pool: pl.DataFrame | None = None,
    seed: int = 0,
    *,
    priors: pl.DataFrame | None = None,
    paths: int = 1000,
    chunk: int = CHUNK,
    on_paths: Callable[[Paths], None] | None = None,
) -> Forecast:
    """Forecast the spend of accounts and when their balances run out.

    - `spend`: account_id, date, spend_amount (Decimal or number; refunds below zero), optionally vendor. A day that
      is missing is unobserved, not zero. Without top-ups and without the known charges.
    - `as_of`: the last whole day; rows after it are refused.
    - `balances`: account_id, balance_amount at the end of `as_of`, optionally threshold_amount.
    - `known_charges`: account_id, date, charge_amount; they are put on their day.
    - `priors`: account_id, mean_daily_amount: somebody's estimate, for accounts with no day observed.
    - `pool`: the `.pool` of another result, in place of what these accounts would learn from each other.
    - `on_paths`: is handed each account's sample paths as they are drawn, those that `iterate_paths` would yield.

    The same arguments give the same numbers, whatever the order of rows and the size of `chunk`. Raises InputError.
    """
    _counts(horizon_days=horizon_days, paths=paths, chunk=chunk, seed=seed)
    asked = _quantiles(quantiles)
    known = _newest(
        reading.read(spend, as_of, horizon_days, balances=balances, known_charges=known_charges, priors=priors)
    )
    shared = build(known, _teaches(known)) if pool is None else from_frame(pool)
    rows = [row for row in range(len(known)) if _method(known, row) != "none"]
    held = [row for row in rows if np.isfinite(known.balances[row])]
    daily = np.empty((len(rows), horizon_days, len(asked)))
    total = np.empty_like(daily)
    passed = np.full((len(held), 2, horizon_days), np.nan)
    place = {row: number for number, row in enumerate(held)}
    drawn = _drawn(known, horizon_days, shared, seed=seed, paths=paths, chunk=chunk)
    for number, (row, days) in enumerate(drawn):
        daily[number] = quantiles_of(days, asked)
        if on_paths is not None:
            on_paths(_paths(known, row, days, as_of))
        sums = np.cumsum(days, axis=0)
        total[number] = quantiles_of(sums, asked)
        if row in place:
            balance, threshold = float(known.balances[row]), float(known.thresholds[row])
            passed[place[row], 0] = passed_by_day(sums, balance)
            if math.isfinite(threshold):
                passed[place[row], 1] = passed_by_day(sums, balance, threshold)
    dates = [as_of + timedelta(days=day) for day in range(1, horizon_days + 1)]
    return Forecast(
        daily=_long(known, rows, pl.Series("date", dates, pl.Date), asked, daily),
        total=_long(known, rows, pl.Series("horizon_days", range(1, horizon_days + 1), pl.Int64), asked, total),
        runway=_runway(known, held, dates, passed),
        methods=_methods(known),
        pool=to_frame(shared),
    )


def _counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < (0 if name == "seed" else 1):
            raise InputError(f"{name} is {count}; it must be {'0' if name == 'seed' else '1'} or more")


def _quantiles(quantiles: Sequence[float]) -> Floats:
    asked = np.array(quantiles, dtype=np.float64)
    if asked.ndim != 1 or not len(asked) or not ((asked > 0) & (asked < 1)).all() or (np.diff(asked) <= 0).any():
        raise InputError(f"quantiles {list(quantiles)} must rise between 0 and 1")
    return asked


def _newest(known: Histories) -> Histories:
    """The histories since each account's level last changed for good."""
    days = newest_regime(known.days)
    left = np.isfinite(days).sum(axis=1)
    is_cut = left < np.isfinite(known.days).sum(axis=1)
    return replace(known, days=days, history_days=np.where(is_cut, left, known.history_days))


def _teaches(known: Histories) -> NDArray[np.bool_]:
    """Accounts with four weeks: what is shorter learns and does not teach."""
    return (known.history_days >= BLOCK_DAYS) & np.isfinite(known.days).any(axis=1)


def _method(known: Histories, row: int) -> str:
    seen = int(known.history_days[row]) if np.isfinite(known.days[row]).any() else 0
    return method_of(seen, has_prior=bool(np.isfinite(known.priors[row])))


def _drawn(
    known: Histories, horizon: int, pool: Pool, *, seed: int, paths: int, chunk: int
) -> Iterator[tuple[int, Floats]]:
    """Row and (horizon, paths) of each account that is not abstained from."""
    for begin in range(0, len(known), chunk):
        rows = range(begin, min(begin + chunk, len(known)))
        methods = {row: _method(known, row) for row in rows}
        long = [row for row in rows if methods[row] in ("full", "blocks", "weeks")]
        accounts = dict(zip(long, ready(known.days[long], pool), strict=True)) if long else {}
        for row in rows:
            if methods[row] == "none":
                continue
            rng = generator(known.ids[row], stream=0, seed=seed)
            if row in accounts:
                days = draw(accounts[row], pool, rng, paths, horizon)
            else:
                days = draw_few(known.days[row], known.vendors[row], pool, rng, paths, horizon, known.priors[row])
            yield row, days + known.charges[row][:, None]


def _paths(known: Histories, row: int, days: Floats, as_of: date) -> Paths:
    return Paths(
        account_id=known.ids[row],
        as_of=as_of,
        method=_method(known, row),
        history_days=int(known.history_days[row]),
        amounts=np.ascontiguousarray(days.T),
        charges=known.charges[row],
    )


def _names(known: Histories, rows: list[int], each: int) -> pl.Series:
    names = pl.Series("account_id", [known.ids[row] for row in rows], pl.String)
    return names.gather(np.repeat(np.arange(len(rows)), each))


def _long(known: Histories, rows: list[int], keys: pl.Series, quantiles: Floats, values: Floats) -> pl.DataFrame:
    each, count = len(keys), len(quantiles)
    places = np.tile(np.repeat(np.arange(each), count), len(rows))
    return pl.DataFrame(
        {
            "account_id": _names(known, rows, each * count),
            keys.name: keys.gather(places),
            "quantile": np.tile(quantiles, len(rows) * each),
            "spend_amount": values.reshape(-1),
        }
    )


def _runway(known: Histories, rows: list[int], dates: list[date], passed: Floats) -> pl.DataFrame:
    each = len(dates)
    days = pl.Series("date", dates, pl.Date)
    return pl.DataFrame(
        {
            "account_id": _names(known, rows, each),
            "date": days.gather(np.tile(np.arange(each), len(rows))),
            "depleted_probability": passed[:, 0].reshape(-1),
            "below_threshold_probability": pl.Series(passed[:, 1].reshape(-1)).fill_nan(None),
        }
    )


def _methods(known: Histories) -> pl.DataFrame:
    methods = [_method(known, row) for row in range(len(known))]
    return pl.DataFrame(
        {
            "account_id": pl.Series(known.ids, dtype=pl.String),
            "method": pl.Series(methods, dtype=pl.String),
            "history_days": known.history_days,
            "is_abstained": pl.Series([method == "none" for method in methods], dtype=pl.Boolean),
            "reason": pl.Series([_REASONS[method] for method in methods], dtype=pl.String),
        }
    )
