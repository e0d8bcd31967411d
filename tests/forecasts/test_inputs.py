from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import polars as pl
import pytest

from pipeline.forecasts import InputError, forecast, iterate_paths
from tests.forecasts.worlds import AS_OF, frame, noise

SPEND = frame({"a": noise(40)})


def refused(match: str, spend: pl.DataFrame = SPEND, **more: object) -> None:
    with pytest.raises(InputError, match=match):
        forecast(spend, AS_OF, 10, paths=20, **more)  # type: ignore[arg-type]


def test_a_day_that_is_there_twice_is_refused_and_named():
    refused(rf"spend has a, {AS_OF} more than once", pl.concat([SPEND, SPEND.tail(1)]))


def test_an_account_with_two_balances_is_refused():
    refused(
        "balances has a more than once", balances=pl.DataFrame({"account_id": ["a", "a"], "balance_amount": [1, 2]})
    )


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), float("-inf"), None])
def test_an_invalid_amount_is_refused(amount):
    broken = SPEND.with_columns(
        spend_amount=pl.when(pl.col("date") == AS_OF).then(pl.lit(amount, pl.Float64)).otherwise("spend_amount")
    )
    refused(rf"spend: spend_amount of a, {AS_OF}", broken)


def test_a_balance_that_is_no_number_is_refused():
    refused("balance_amount of a", balances=pl.DataFrame({"account_id": ["a"], "balance_amount": [float("nan")]}))


def test_days_after_as_of_are_refused():
    refused("after as_of", frame({"a": noise(5)}, until=AS_OF + timedelta(days=1)))


def test_missing_columns_are_named():
    refused("spend has no column spend_amount", SPEND.drop("spend_amount"))
    refused("known_charges has no column charge_amount", known_charges=SPEND)


def test_amounts_must_be_numbers_and_days_dates():
    refused("is String, not a number", SPEND.with_columns(pl.col("spend_amount").cast(pl.String)))
    refused("not a Date", SPEND.with_columns(pl.col("date").cast(pl.Datetime)))


def test_an_account_of_two_vendors_is_refused():
    refused("more than one vendor", SPEND.with_columns(vendor=pl.Series(["x", "y"] * 20)))


@pytest.mark.parametrize("quantiles", [(), (0.5, 0.1), (0.1, 0.1), (0.0, 0.5), (0.5, 1.0)])
def test_quantiles_must_rise_between_0_and_1(quantiles):
    refused("must rise", quantiles=quantiles)


@pytest.mark.parametrize("wrong", [{"horizon_days": 0}, {"paths": 0}, {"chunk": 0}, {"seed": -1}])
def test_counts_must_be_counts(wrong):
    [name] = wrong
    with pytest.raises(InputError, match=f"{name} is"):
        forecast(SPEND, AS_OF, **wrong)
    with pytest.raises(InputError, match=f"{name} is"):
        next(iterate_paths(SPEND, AS_OF, **wrong))


@pytest.mark.parametrize("horizon_days", [1, 6, 8, 400])
def test_any_horizon_is_answered_to_its_last_day(horizon_days):
    total = forecast(SPEND, AS_OF, horizon_days, paths=20).total
    assert total["horizon_days"].to_list() == [day for day in range(1, horizon_days + 1) for _ in range(7)]


def test_a_frame_that_is_no_pool_is_refused():
    refused("pass the `.pool`", pool=SPEND)
    refused("incomplete", pool=forecast(SPEND, AS_OF, 2, paths=5).pool.filter(pl.col("statistic") != "shocks"))


def test_decimals_are_read_as_numbers():
    exact = SPEND.with_columns(pl.col("spend_amount").round(2).cast(pl.Decimal(38, 9)))
    assert isinstance(exact["spend_amount"][0], Decimal)
    rounded = SPEND.with_columns(pl.col("spend_amount").round(2))
    assert forecast(exact, AS_OF, 10, paths=50).total.equals(forecast(rounded, AS_OF, 10, paths=50).total)


def test_nothing_in_gives_nothing_out():
    result = forecast(SPEND.clear(), AS_OF, 10)
    assert [len(part) for part in (result.daily, result.total, result.runway, result.methods)] == [0, 0, 0, 0]
    assert result.daily.columns == ["account_id", "date", "quantile", "spend_amount"]
    assert result.total.columns == ["account_id", "horizon_days", "quantile", "spend_amount"]


def test_the_forecaster_needs_neither_dagster_nor_the_warehouse():
    code = "import sys, pipeline.forecasts; print([m for m in ('dagster', 'duckdb', 'pandera', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
