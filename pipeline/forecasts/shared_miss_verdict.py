"""Coverage by month in sentences: whether accounts miss their bands together, and when they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from pipeline.forecasts.backtest_shared_misses import LEAST_ACCOUNTS, LEAST_PERIODS
from pipeline.support.wording import count, listed

_MOST_MONTHS: Final = 3
_MOST: Final = 0.5
"""A month is named if at least this share of its totals missed on one side, and the worst one in any case."""


def shared_miss_verdict(shared_misses: pl.DataFrame, months: pl.DataFrame, forecaster: str = "drawdown") -> list[str]:
    """Return sentences on whether the fleet moves together: one each horizon that tells, one for those that do not.

    The frames as `backtest` returns them.
    """
    found = shared_misses.filter(pl.col("forecaster") == forecaster).sort("horizon_days").to_dicts()
    lines = []
    for row in found:
        if row["is_shared"]:
            own = months.filter((pl.col("forecaster") == forecaster) & (pl.col("horizon_days") == row["horizon_days"]))
            lines.append(_together(row, own.to_dicts()))
    if apart := [row for row in found if row["is_shared"] is False]:
        accounts = " and ".join(dict.fromkeys(count(row["account_count"], "account") for row in apart))
        lines.append(f"Next {_horizons(apart)} days: nothing shows that the fleet moves together ({accounts}).")
    if unknown := [row for row in found if row["is_shared"] is None]:
        accounts = max(row["account_count"] for row in unknown)
        periods = " and ".join(str(row["separate_origin_count"]) for row in unknown)
        lines.append(
            f"Next {_horizons(unknown)} days: not enough accounts or months to tell whether the fleet moves together. "
            f"It takes {LEAST_ACCOUNTS} accounts with {LEAST_PERIODS} forecasts each and {LEAST_PERIODS} periods "
            f"without overlap; there are {accounts} and {periods}."
        )
    return lines


def _horizons(rows: Sequence[Mapping[str, Any]]) -> str:
    return listed([str(row["horizon_days"]) for row in rows])


def _together(row: Mapping[str, Any], months: Sequence[Mapping[str, Any]]) -> str:
    ordered = sorted(months, key=_worst_share, reverse=True)
    named = [month for month in ordered[:_MOST_MONTHS] if _worst_share(month) >= _MOST] or ordered[:1]
    when = "; ".join(_month(month) for month in sorted(named, key=lambda month: month["target_month"]))
    chance = row["chance_probability"]
    return (
        f"Next {row['horizon_days']} days: the fleet moves together. {when}. Misses on one side vary "
        f"{row['miss_variance_ratio']:.1f} times as much from origin to origin as those of independent accounts would "
        f"(chance of that: {chance:.3f}). {count(row['account_count'], 'account')} are therefore not so many separate "
        "tests of a band, and the fleet's total is less certain than independent accounts would make it."
    )


def _worst_share(month: Mapping[str, Any]) -> float:
    return float(max(month["below_80_ratio"], month["above_80_ratio"]))


def _month(month: Mapping[str, Any]) -> str:
    side = "above" if month["above_80_ratio"] >= month["below_80_ratio"] else "below"
    missed = round(_worst_share(month) * month["forecast_count"])
    total, accounts = month["forecast_count"], count(month["account_count"], "account")
    if missed == total:
        return f"In {month['target_month']:%B %Y} all {accounts} ended {side} their 80 % bands"
    return f"In {month['target_month']:%B %Y} {missed} of {total} totals of {accounts} ended {side} their 80 % bands"
