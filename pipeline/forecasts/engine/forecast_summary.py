"""Step 8: reduce the paths to quantiles of days and totals, and to the probability that a balance has run out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.group_totals import GroupTotals
from pipeline.forecasts.engine.passage import passed_by_day
from pipeline.forecasts.engine.pool import Pool, to_frame
from pipeline.forecasts.engine.regimes import Regimes
from pipeline.forecasts.engine.scoring import quantiles_of
from pipeline.forecasts.engine.simulation import Paths, SimulatedSpend, paths_of

_REASONS: Final = {
    "none": "nothing observed in the last 60 weeks and no estimate given",
    "prior": "nothing observed: an estimate with a wide range",
    "donors": "less than a week observed: the level is its own, the shape other accounts'",
    "weeks": "less than four weeks observed: its own weeks, a level that may be off",
    "blocks": "less than twelve weeks observed: its own weeks, a wandering level",
    "full": "",
}


_NO_SEASON: Final = "less than 56 weeks observed: the season is unknown"
"""The reason of the full method where no account has been seen for a year."""


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
    groups: pl.DataFrame
    """group_id, horizon_days (1 to H), quantile, spend_amount, forecast_account_count: the totals of the groups asked
    for, added up path by path, so that they are as wide as accounts that move together make them."""
    pool: pl.DataFrame
    """What the accounts learned from each other (statistic, vendor, position, value). Passed in as `pool`, it gives one
    account alone the numbers that it has among the others."""


def summarize(
    simulated: Iterable[SimulatedSpend],
    regimes: Regimes,
    pool: Pool,
    quantiles: Floats,
    groups: GroupTotals,
    on_paths: Callable[[Paths], None] | None = None,
) -> Forecast:
    """Summarize the paths one account at a time, add them to their `groups`, and pass them to `on_paths`.

    `quantiles` is (k,), rising, between 0 and 1.
    """
    histories = regimes.histories
    horizon = histories.charges.shape[1]
    rows = [row for row, method in enumerate(regimes.methods) if method != "none"]
    with_balance = [row for row in rows if np.isfinite(histories.balances[row])]
    place = {row: number for number, row in enumerate(with_balance)}
    daily = np.empty((len(rows), horizon, len(quantiles)))
    total = np.empty_like(daily)
    passed = np.full((len(with_balance), 2, horizon), np.nan)
    for number, spend in enumerate(simulated):
        daily[number] = quantiles_of(spend.amounts, quantiles)
        sums = np.cumsum(spend.amounts, axis=0)
        if on_paths is not None:
            on_paths(paths_of(regimes, spend, sums))
        groups.add(histories.ids[spend.row], sums)
        total[number] = quantiles_of(sums, quantiles)
        if spend.row in place:
            balance, threshold = float(histories.balances[spend.row]), float(histories.thresholds[spend.row])
            passed[place[spend.row], 0] = passed_by_day(sums, balance)
            if math.isfinite(threshold):
                passed[place[spend.row], 1] = passed_by_day(sums, balance, threshold)
    dates = [histories.as_of + timedelta(days=day) for day in range(1, horizon + 1)]
    ids, ids_with_balance = ([histories.ids[row] for row in some] for some in (rows, with_balance))
    return Forecast(
        daily=_quantile_rows(ids, pl.Series("date", dates, pl.Date), quantiles, daily),
        total=_quantile_rows(ids, pl.Series("horizon_days", range(1, horizon + 1), pl.Int64), quantiles, total),
        runway=_runway_rows(ids_with_balance, dates, passed),
        methods=_method_rows(regimes, pool),
        groups=groups.frame(quantiles),
        pool=to_frame(pool),
    )


def _repeated(ids: list[str], times: int) -> pl.Series:
    return pl.Series("account_id", ids, pl.String).gather(np.repeat(np.arange(len(ids)), times))


def _quantile_rows(ids: list[str], keys: pl.Series, quantiles: Floats, values: Floats) -> pl.DataFrame:
    """One row an account, key and quantile; `values` is (ids, keys, quantiles)."""
    key_count, quantile_count = len(keys), len(quantiles)
    places = np.tile(np.repeat(np.arange(key_count), quantile_count), len(ids))
    return pl.DataFrame(
        {
            "account_id": _repeated(ids, key_count * quantile_count),
            keys.name: keys.gather(places),
            "quantile": np.tile(quantiles, len(ids) * key_count),
            "spend_amount": values.reshape(-1),
        }
    )


def _runway_rows(ids: list[str], dates: list[date], passed: Floats) -> pl.DataFrame:
    """One row an account and day; `passed` is (ids, 2, dates): below 0, and below the threshold or NaN."""
    days = pl.Series("date", dates, pl.Date)
    return pl.DataFrame(
        {
            "account_id": _repeated(ids, len(dates)),
            "date": days.gather(np.tile(np.arange(len(dates)), len(ids))),
            "depleted_probability": passed[:, 0].reshape(-1),
            "below_threshold_probability": pl.Series(passed[:, 1].reshape(-1)).fill_nan(None),
        }
    )


def _method_rows(regimes: Regimes, pool: Pool) -> pl.DataFrame:
    reasons = _REASONS if pool.yearly().is_known else _REASONS | {"full": _NO_SEASON}
    return pl.DataFrame(
        {
            "account_id": pl.Series(regimes.histories.ids, dtype=pl.String),
            "method": pl.Series(regimes.methods, dtype=pl.String),
            "history_days": regimes.history_days,
            "is_abstained": pl.Series([method == "none" for method in regimes.methods], dtype=pl.Boolean),
            "reason": pl.Series([reasons[method] for method in regimes.methods], dtype=pl.String),
        }
    )
