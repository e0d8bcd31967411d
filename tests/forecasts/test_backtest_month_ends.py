"""Backtested month ends: which days are scored, and by what."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from pipeline.forecasts import Paths
from pipeline.forecasts.backtest import Backtest, backtest
from pipeline.forecasts.backtest_month_ends import rest_of_month
from pipeline.forecasts.backtest_verdict import month_end_verdict
from tests.forecasts.worlds import noise

FIRST = date(2026, 1, 1)


def _spend(**accounts: list[float]) -> pl.DataFrame:
    """Rows from the first of January on; NaN is a day that was not observed."""
    rows = [
        {"account_id": name, "date": FIRST + timedelta(days=day), "spend_amount": amount}
        for name, amounts in accounts.items()
        for day, amount in enumerate(amounts)
        if math.isfinite(amount)
    ]
    return pl.DataFrame(rows)


def _backtest(spend: pl.DataFrame, amounts: float, spread: float = 0.0, **more: object) -> Backtest:
    """Backtest with paths of `amounts` a day, of which the totals lie evenly up to `spread` around it."""

    def sampler(
        spend: pl.DataFrame, as_of: date, horizon_days: int = 90, *, seed: int = 0, paths: int = 1000
    ) -> list[Paths]:
        factors = 1 + spread * np.linspace(-1, 1, 101)[:, None]
        drawn = factors * np.full((101, horizon_days), amounts)
        return [
            Paths(
                account_id=name, as_of=as_of, method="full", history_days=28, amounts=drawn,
                charges=np.zeros(horizon_days),
            )
            for name in sorted(spend["account_id"].unique())
        ]  # fmt: skip

    return backtest(spend, sampler=sampler, step_days=1, horizons=[31], **more)  # type: ignore[arg-type]


def _row(found: Backtest, account_id: str = "*", first: int = 1, last: int = 28) -> dict[str, object]:
    [row] = found.month_ends.filter(
        (pl.col("account_id") == account_id)
        & (pl.col("first_issue_day_number") == first)
        & (pl.col("last_issue_day_number") == last)
    ).to_dicts()
    return row


def test_the_rest_of_a_month_is_from_the_day_of_issue_to_its_last() -> None:
    assert rest_of_month(date(2026, 1, 31)) == 28
    assert rest_of_month(date(2026, 2, 27)) == 1
    assert rest_of_month(date(2026, 3, 27)) == 4
    assert rest_of_month(date(2026, 3, 28)) is None


def test_each_day_of_a_whole_month_is_scored_once_and_in_its_week() -> None:
    # January is the history; forecasts are made from the 28th of January on, for February and the days of March.
    found = _backtest(_spend(a=[10.0] * (31 + 28 + 31)), 10.0, 0.1)
    whole = _row(found)
    # The 29th to the 31st of January are no days of issue, and neither are those of March.
    assert (whole["forecast_count"], whole["month_count"], whole["coverage_80_ratio"]) == (56, 2, 1.0)
    weeks = [_row(found, first=first, last=first + 6) for first in (1, 8, 15, 22)]
    assert [week["forecast_count"] for week in weeks] == [14, 14, 14, 14]


@pytest.mark.parametrize(
    ("a_day", "below", "above", "held_90"),
    [(8.5, 1.0, 0.0, 0.0), (11.5, 0.0, 1.0, 0.0), (9.15, 1.0, 0.0, 1.0), (9.25, 0.0, 0.0, 1.0)],
)
def test_totals_outside_the_band_are_counted_on_their_side(
    a_day: float, below: float, above: float, held_90: float
) -> None:
    found = _row(_backtest(_spend(a=[10.0] * 31 + [a_day] * 28), 10.0, 0.1))
    assert (found["below_80_ratio"], found["above_80_ratio"]) == (below, above)
    assert found["coverage_80_ratio"] == 1 - below - above
    # p05 and p10 are 9.1 and 9.2 a day.
    assert found["coverage_90_ratio"] == held_90


def test_a_month_with_a_missing_day_is_scored_from_the_days_after_it() -> None:
    days = [10.0] * (31 + 28)
    days[31 + 9] = float("nan")
    found = _row(_backtest(_spend(a=days), 10.0))
    # From the 11th to the 28th: the 10th of February was not observed.
    assert found["forecast_count"] == 18


def test_an_account_that_spends_nothing_is_not_among_all() -> None:
    found = _backtest(_spend(a=[10.0] * 59, idle=[0.0] * 59), 10.0)
    assert _row(found)["forecast_count"] == _row(found, "a")["forecast_count"] == 28
    assert _row(found, "idle")["pinball_ratio"] is None


def test_months_that_are_not_over_or_too_long_for_the_horizons_are_not_scored() -> None:
    assert _backtest(_spend(a=[10.0] * 50), 10.0).month_ends.is_empty()
    spend = _spend(a=list(noise(59)))
    short = backtest(spend, horizons=[7], step_days=1, paths=20).month_ends
    assert _row(replace(backtest(spend, horizons=[7], paths=20), month_ends=short))["forecast_count"] == 7


def test_the_verdict_says_how_often_the_band_held() -> None:
    found = _backtest(_spend(a=[10.0] * (31 + 28)), 10.0, 0.1).month_ends
    assert month_end_verdict(found) == [
        "Month ends, forecast on days 1 to 28: the 80 % band held 100 in 100 of 28 forecasts of 1 months: read it as a "
        "hint."
    ]
    assert month_end_verdict(found.clear()) == []
