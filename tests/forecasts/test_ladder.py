from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from pipeline.forecasts import forecast, iterate_paths
from tests.forecasts.worlds import AS_OF, frame, mixed, noise

PATHS = 300


@pytest.fixture(scope="module")
def result():
    nothing = pl.DataFrame({"account_id": ["unknown", "constant"], "balance_amount": [10.0, 100.0]})
    estimate = pl.DataFrame({"account_id": ["estimated"], "mean_daily_amount": [5.0]})
    return forecast(frame(mixed()), AS_OF, 90, balances=nothing, priors=estimate, paths=PATHS)


def month(result, account_id: str) -> dict[float, float]:
    rows = result.total.filter((pl.col("account_id") == account_id) & (pl.col("horizon_days") == 30))
    return dict(zip(rows["quantile"], rows["spend_amount"], strict=True))


def test_each_length_of_history_gets_its_method(result):
    methods = dict(result.methods.select("account_id", "method").iter_rows())
    assert {name: methods[name] for name in methods if name.startswith("days-")} == {
        "days-001": "donors",
        "days-003": "donors",
        "days-006": "donors",
        "days-007": "weeks",
        "days-013": "weeks",
        "days-027": "weeks",
        "days-028": "blocks",
        "days-060": "blocks",
        "days-083": "blocks",
        "days-084": "full",
        "days-800": "full",
    }
    assert (methods["unknown"], methods["estimated"]) == ("none", "prior")


def test_history_days_are_the_days_observed(result):
    days = dict(result.methods.select("account_id", "history_days").iter_rows())
    assert (days["days-800"], days["gap"], days["unknown"]) == (800, 110, 0)


def test_an_unknown_account_is_abstained_from_with_a_reason(result):
    [row] = result.methods.filter(pl.col("is_abstained")).to_dicts()
    assert row["account_id"] == "unknown"
    assert "nothing observed" in row["reason"]
    assert "unknown" not in set(result.total["account_id"]) | set(result.daily["account_id"]) | set(
        result.runway["account_id"]
    )


def test_every_other_account_has_every_row_and_every_row_a_number(result):
    accounts = set(result.methods.filter(~pl.col("is_abstained"))["account_id"])
    for part in (result.daily, result.total):
        assert set(part["account_id"]) == accounts
        assert len(part) == len(accounts) * 90 * 7
        assert part["spend_amount"].is_finite().all()


def test_quantiles_rise(result):
    for part, day in ((result.daily, "date"), (result.total, "horizon_days")):
        steps = part.sort("account_id", day, "quantile").select(pl.col("spend_amount").diff().over("account_id", day))
        assert steps["spend_amount"].drop_nulls().min() >= 0


def test_usage_without_refunds_is_never_negative(result):
    for part in (result.daily, result.total):
        assert part.filter(pl.col("account_id") != "refunds")["spend_amount"].min() >= 0


def test_refunds_recur_but_do_not_grow(result):
    [found] = iterate_paths(frame({"refunds": mixed()["refunds"]}), AS_OF, 90, paths=PATHS)
    assert found.amounts.min() == pytest.approx(-500)
    assert 100 < month(result, "refunds")[0.5] < 500


def test_zeros_are_forecast_as_zeros(result):
    assert result.total.filter(pl.col("account_id") == "zeros")["spend_amount"].max() == 0


def test_a_constant_account_is_forecast_close_to_what_it_was(result):
    assert month(result, "constant")[0.5] == pytest.approx(300, rel=0.01)
    assert 240 < month(result, "constant")[0.05] < month(result, "constant")[0.95] < 360


def test_one_giant_day_is_possible_again_and_not_expected(result):
    assert month(result, "giant")[0.5] == 0
    assert 0 < month(result, "giant")[0.95] <= 3000


def test_a_gap_is_unobserved_and_not_zero(result):
    assert 200 < month(result, "gap")[0.5] < 400


def test_rare_missing_days_do_not_lower_the_total(result):
    zeroed = frame({"holes": [0.0 if day is None else day for day in mixed()["holes"]]})
    less = forecast(zeroed, AS_OF, 30, paths=PATHS)
    assert month(less, "holes")[0.5] < 0.8 * month(result, "holes")[0.5]


def test_an_estimate_alone_gives_a_wide_range_around_it(result):
    found = month(result, "estimated")
    assert 100 < found[0.5] < 225
    assert found[0.95] > 4 * found[0.05]


def test_less_history_means_a_wider_range():
    def width(days: int) -> float:
        found = month(forecast(frame({"a": noise(days)}), AS_OF, 30, paths=PATHS), "a")
        return (found[0.95] - found[0.05]) / found[0.5]

    assert width(3) > width(12) > width(200)


def test_a_few_days_that_are_all_alike_are_still_few():
    def width(days: int) -> float:
        found = month(forecast(frame({"a": [10.0] * days}), AS_OF, 30, paths=PATHS), "a")
        return found[0.95] / found[0.05]

    assert width(14) > 1.3 > width(200)


def test_a_history_that_ended_weeks_ago_is_less_certain():
    def width(weeks: int) -> float:
        history = frame({"a": noise(150)}, until=AS_OF - timedelta(weeks=weeks))
        found = month(forecast(history, AS_OF, 30, paths=PATHS), "a")
        return (found[0.95] - found[0.05]) / found[0.5]

    assert width(12) > 1.3 * width(0)


def test_a_history_that_ended_more_than_a_year_ago_is_no_history():
    old = forecast(frame({"a": noise(100)}, until=AS_OF - timedelta(days=500)), AS_OF, 30, paths=20)
    assert old.methods.select("method", "history_days").row(0) == ("none", 100)


def test_new_accounts_lean_on_those_of_their_vendor():
    dear = {f"dear-{number}": noise(100, seed=number, level=1000) for number in range(5)}
    cheap = {f"cheap-{number}": noise(100, seed=number, level=1) for number in range(5)}
    spend = frame(dear | cheap | {"dear-new": [30.0], "cheap-new": [30.0]})
    named = spend.with_columns(vendor=pl.col("account_id").str.split("-").list.first())
    result = forecast(named, AS_OF, 30, paths=PATHS)
    assert month(result, "dear-new")[0.5] > 3 * 900 > 2 * month(result, "cheap-new")[0.5]


def test_no_day_costs_more_than_three_times_the_dearest_one(result):
    history = frame(mixed())
    dearest = dict(history.group_by("account_id").agg(pl.col("spend_amount").max()).iter_rows())
    wild = forecast(history, AS_OF, 90, quantiles=(0.5, 0.9999), paths=PATHS).daily
    for account_id, most in wild.group_by("account_id").agg(pl.col("spend_amount").max()).iter_rows():
        if int(result.methods.filter(pl.col("account_id") == account_id)["history_days"][0]) >= 7:
            assert most <= 3 * dearest[account_id] * (1 + 1e-9)
