"""Step 8: reduce the paths to quantiles of days and totals, and to the probability that a balance has run out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import polars as pl

from pipeline.forecasts.engine.arrays import Floats, running_sums
from pipeline.forecasts.engine.group_totals import GroupTotals
from pipeline.forecasts.engine.passage import passed_by_day
from pipeline.forecasts.engine.pool import Pool, to_frame
from pipeline.forecasts.engine.regimes import Regimes
from pipeline.forecasts.engine.scoring import quantiles_of
from pipeline.forecasts.engine.simulation import Paths, SimulatedSpend, paths_of
from pipeline.forecasts.engine.summary_rows import SummaryRows

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
    dates = [histories.as_of + timedelta(days=day) for day in range(1, histories.charges.shape[1] + 1)]
    rows = SummaryRows(dates=dates, quantiles=quantiles)
    for spend in simulated:
        account_id = histories.ids[spend.row]
        sums = running_sums(spend.amounts)
        if on_paths is not None:
            on_paths(paths_of(regimes, spend, sums))
        groups.add(account_id, sums)
        rows.add(account_id, quantiles_of(spend.amounts, quantiles), quantiles_of(sums, quantiles))
        balance, threshold = float(histories.balances[spend.row]), float(histories.thresholds[spend.row])
        if math.isfinite(balance):
            below = passed_by_day(sums, balance, threshold) if math.isfinite(threshold) else None
            rows.add_runway(account_id, passed_by_day(sums, balance), below)
    daily, total, runway = rows.frames()
    return Forecast(
        daily=daily,
        total=total,
        runway=runway,
        methods=_method_rows(regimes, pool),
        groups=groups.frame(quantiles),
        pool=to_frame(pool),
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
