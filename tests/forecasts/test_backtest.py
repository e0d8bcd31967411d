from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.forecasts import InputError, Paths
from pipeline.forecasts.backtest import Backtest, backtest
from pipeline.forecasts.backtest_scores import CALIBRATION, METHODS, SCORES, SKIPPED
from pipeline.forecasts.backtest_verdict import verdict
from tests.forecasts.worlds import AS_OF, frame, noise

MONTH = [10.0] * 28


def paths_of(account_id, as_of, drawn, horizon):
    return Paths(
        account_id=account_id, as_of=as_of, method="full", history_days=28, amounts=drawn, charges=np.zeros(horizon)
    )


def sampler_of(amounts):
    """A sampler of fixed paths: `amounts(account_id, as_of, horizon)` is (paths, horizon)."""

    def sampler(spend, as_of, horizon_days=90, *, seed=0, paths=1000):
        for account_id in sorted(spend["account_id"].unique()):
            yield paths_of(account_id, as_of, amounts(account_id, as_of, horizon_days), horizon_days)

    return sampler


def even(account_id, as_of, horizon):
    """201 paths whose totals are 0, 1, ... 200, all of it on the seventh day: quantiles are 10, 20, 50, 100 ..."""
    drawn = np.zeros((201, horizon))
    drawn[:, 6] = np.arange(201)
    return drawn


def knowing(spend: pl.DataFrame, factor: float = 1.0):
    """Paths that equal actual spend, times a factor."""
    came = {(account_id, day): amount for account_id, day, amount in spend.iter_rows()}

    def amounts(account_id, as_of, horizon):
        days = [came.get((account_id, as_of + timedelta(days=1 + day)), 0.0) for day in range(horizon)]
        return factor * np.tile(days, (5, 1))

    return amounts


def row(result: Backtest, method: str, horizon: int, account_id: str = "*") -> dict:
    [found] = result.scores.filter(
        (pl.col("account_id") == account_id) & (pl.col("forecaster") == method) & (pl.col("horizon_days") == horizon)
    ).to_dicts()
    return found


@pytest.fixture(scope="module")
def one_origin():
    """Four weeks of 10 a day, then a week of 140: every method forecasts 70, except the one with 0 to 200."""
    return backtest(frame({"a": [*MONTH, *[20.0] * 7]}), sampler=sampler_of(even))


def test_the_losses_are_those_worked_out_by_hand(one_origin):
    own = row(one_origin, "drawdown", 7)
    # 2/7 x (.05x130 + .1x120 + .25x90 + .5x40 + .25x10 + .1x40 + .05x50) = 20, beside |140 - 70| = 70.
    assert own["pinball_ratio"] == pytest.approx(20 / 70)
    assert own["median_error_ratio"] == pytest.approx(40 / 70)
    for method in ("mean_7d", "mean_28d", "seasonal_naive"):
        assert row(one_origin, method, 7)["pinball_ratio"] == row(one_origin, method, 7)["median_error_ratio"] == 1.0


def test_the_runway_scores_are_those_worked_out_by_hand(one_origin):
    # Balances of 50, 100, 200 and 400; the first two ran dry.
    own = ((51 / 201) ** 2 + (101 / 201) ** 2) / 4
    assert row(one_origin, "drawdown", 7)["brier_score"] == pytest.approx(own)
    assert row(one_origin, "mean_28d", 7)["brier_score"] == pytest.approx(1 / 4)


@pytest.mark.parametrize("past", [[5.0] * 14 + [15.0] * 14, [1000.0] * 30 + [10.0] * 180], ids=["all", "180 days"])
def test_balances_are_multiples_of_the_mean_of_180_days(past):
    result = backtest(frame({"a": [*past, *[20.0] * 7]}), horizons=[7], step_days=7, sampler=newest_only(even))
    own = ((51 / 201) ** 2 + (101 / 201) ** 2) / 4
    assert row(result, "drawdown", 7)["brier_score"] == pytest.approx(own)


def newest_only(amounts):
    """A sampler that abstains from all origins but the newest."""

    def sampler(spend, as_of, horizon_days=90, *, seed=0, paths=1000):
        if as_of == AS_OF - timedelta(days=7):
            yield from sampler_of(amounts)(spend, as_of, horizon_days)

    return sampler


def test_the_calibration_counts_totals_at_or_below_each_quantile(one_origin):
    found = one_origin.calibration.filter(pl.col("account_id") == "a")
    assert found["nominal_ratio"].to_list() == [0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95]
    assert found["observed_ratio"].to_list() == [0, 0, 0, 0, 1, 1, 1]
    assert found["forecast_count"].to_list() == [1] * 7


def test_each_total_is_counted_within_below_or_above_the_band():
    weeks = [70.0, 140.0, 210.0, 0.0, 15.0]
    spend = frame({"a": MONTH + [week / 7 for week in weeks for _ in range(7)]})
    own = row(backtest(spend, horizons=[7], sampler=sampler_of(even)), "drawdown", 7)
    assert (own["origin_count"], own["separate_origin_count"], own["forecast_count"]) == (5, 5, 5)
    assert (own["coverage_80_ratio"], own["below_80_ratio"], own["above_80_ratio"]) == (0.4, 0.4, 0.2)
    assert own["coverage_90_ratio"] == 0.6


def test_a_forecast_of_the_actual_spend_is_always_right():
    spend = frame({"a": noise(130), "b": noise(130, seed=1, level=3000.0)})
    result = backtest(spend, sampler=sampler_of(knowing(spend)))
    for horizon in (7, 30, 90):
        own = row(result, "drawdown", horizon)
        assert (own["coverage_80_ratio"], own["coverage_90_ratio"], own["below_80_ratio"], own["above_80_ratio"]) == (
            1,
            1,
            0,
            0,
        )
        assert own["pinball_ratio"] == pytest.approx(0, abs=1e-12)
        assert own["brier_score"] == (None if horizon == 90 else 0.0)
    assert set(result.calibration["observed_ratio"]) == {1.0}


@pytest.mark.parametrize(("factor", "below", "above"), [(1.5, 1.0, 0.0), (0.5, 0.0, 1.0)])
def test_a_band_that_always_misses_has_no_coverage(factor, below, above):
    spend = frame({"a": noise(130)})
    result = backtest(spend, sampler=sampler_of(knowing(spend, factor)))
    own = row(result, "drawdown", 30)
    assert (own["coverage_80_ratio"], own["coverage_90_ratio"], own["below_80_ratio"], own["above_80_ratio"]) == (
        0,
        0,
        below,
        above,
    )
    assert set(result.calibration["observed_ratio"]) == {below}


def test_methods_of_one_number_have_no_band(one_origin):
    points = one_origin.scores.filter(pl.col("forecaster") != "drawdown")
    assert len(points) == 6
    for column in ("coverage_80_ratio", "coverage_90_ratio", "below_80_ratio", "above_80_ratio"):
        assert points[column].null_count() == 6
    assert one_origin.scores.filter(pl.col("forecaster") == "drawdown")["coverage_80_ratio"].null_count() == 0


def test_each_baseline_matches_its_name():
    ramp = [float(day) for day in range(28)]
    # 7 days: the last week's mean is 24, the month's 13.5; the last values of the weekdays also add up to 168.
    spend = frame({"a": [*ramp, 100.0, *[0.0] * 6]})
    result = backtest(spend, horizons=[1], step_days=7, sampler=sampler_of(even_day))
    errors = {method: row(result, method, 1)["median_error_ratio"] for method in METHODS}
    base = 100 - 13.5
    assert errors["mean_7d"] == pytest.approx((100 - 24) / base)
    assert errors["seasonal_naive"] == pytest.approx((100 - 21) / base)
    assert errors["mean_28d"] == 1


def even_day(account_id, as_of, horizon):
    return np.zeros((3, horizon))


def test_a_weekday_that_was_not_observed_is_taken_from_the_week_before():
    ramp: list[float | None] = [float(day) for day in range(35)]
    ramp[28] = None
    spend = frame({"a": [*ramp, 100.0, *[0.0] * 6]})
    result = backtest(spend, horizons=[1], sampler=sampler_of(even_day))
    month = sum(day for day in ramp[7:] if day is not None) / 27
    assert row(result, "seasonal_naive", 1)["median_error_ratio"] == pytest.approx((100 - 21) / (100 - month))


def test_accounts_have_equal_weight_in_any_unit():
    alike = [*MONTH, *[20.0] * 7]
    spend = frame({"a": alike, "b": [100 * day for day in alike]})

    def amounts(account_id, as_of, horizon):
        return np.full((5, horizon), 20.0 if account_id == "a" else 1500.0)

    result = backtest(spend, horizons=[7], sampler=sampler_of(amounts))
    assert row(result, "drawdown", 7, "a")["pinball_ratio"] == 0
    assert row(result, "drawdown", 7, "b")["pinball_ratio"] == pytest.approx(0.5)
    assert row(result, "drawdown", 7)["pinball_ratio"] == pytest.approx(0.25)
    assert (row(result, "drawdown", 7)["origin_count"], row(result, "drawdown", 7)["forecast_count"]) == (1, 2)


def test_a_mean_that_made_no_error_is_no_base_of_a_ratio():
    result = backtest(frame({"a": [0.1] * 60}), horizons=[7], sampler=sampler_of(even))
    assert result.scores["pinball_ratio"].null_count() == result.scores["median_error_ratio"].null_count() == 8
    assert "made no error" in verdict(result.scores)[1]


def test_zero_spend_forecast_as_zero_proves_no_band():
    spend = frame({"idle": [0.0] * 60, "a": noise(60)})
    result = backtest(spend, horizons=[7], sampler=sampler_of(knowing(spend, 2.0)))
    assert row(result, "drawdown", 7, "idle")["coverage_80_ratio"] == 1
    assert row(result, "drawdown", 7)["coverage_80_ratio"] == 0
    assert row(result, "drawdown", 7, "idle")["brier_score"] is None


def test_no_forecast_knows_more_than_its_day_did():
    spend = frame({"a": noise(70), "b": noise(50, seed=1)})
    asked = []

    def sampler(past, as_of, horizon_days=90, *, seed=0, paths=1000):
        asked.append(as_of)
        assert past.sort("account_id", "date").equals(spend.filter(pl.col("date") <= as_of).sort("account_id", "date"))
        return iter(())

    backtest(spend, sampler=sampler)
    assert asked == [AS_OF - timedelta(days=days) for days in (42, 35, 28, 21, 14, 7)]


def test_origins_are_as_far_apart_as_requested():
    spend = frame({"a": noise(70)})
    origins = {
        step: row(backtest(spend, horizons=[7], step_days=step, sampler=sampler_of(even)), "drawdown", 7)
        for step in (1, 14)
    }
    # 28 days behind and 7 ahead of 70 leave 36 days to forecast from.
    assert (origins[1]["origin_count"], origins[1]["separate_origin_count"]) == (36, 6)
    assert (origins[14]["origin_count"], origins[14]["separate_origin_count"]) == (3, 3)


def test_progress_is_reported_from_none_to_all():
    reported = []
    backtest(frame({"a": noise(70)}), sampler=sampler_of(even), on_progress=lambda *each: reported.append(each))
    assert reported == [(done, 6) for done in range(7)]


def test_horizons_that_overlap_are_counted_apart():
    own = row(backtest(frame({"a": noise(120)}), sampler=sampler_of(even)), "drawdown", 30)
    assert (own["origin_count"], own["separate_origin_count"]) == (9, 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([5.0, 9.0, 0.0, None]), min_size=1, max_size=75), st.sampled_from([1, 5, 7]))
def test_forecasts_are_those_with_a_month_behind_and_a_whole_horizon_ahead(days, step):
    spend = frame({"a": days, "whole": [1.0] * 75})
    result = backtest(spend, horizons=[7], step_days=step, sampler=sampler_of(even))
    seen = [None] * (75 - len(days)) + days
    expected = 0
    for origin in range(74 - step, -1, -step):
        behind, ahead = seen[: origin + 1], seen[origin + 1 : origin + 8]
        observed = [day for day in behind if day is not None]
        is_recent = any(day is not None for day in behind[-7:])
        expected += len(observed) >= 28 and is_recent and len(ahead) == 7 and None not in ahead
    counts = result.scores.filter((pl.col("account_id") == "a") & (pl.col("forecaster") == "drawdown"))[
        "forecast_count"
    ]
    assert counts.to_list() == ([expected] if expected else [])
    is_there = any(day is not None for day in days)
    assert result.skipped["account_id"].to_list() == (["a"] if is_there and not expected else [])
    for own in result.scores.filter(pl.col("forecaster") == "drawdown").to_dicts():
        assert own["coverage_80_ratio"] + own["below_80_ratio"] + own["above_80_ratio"] == pytest.approx(1)
        assert own["coverage_80_ratio"] <= own["coverage_90_ratio"]


@pytest.mark.parametrize(
    ("days", "why"),
    [
        (noise(34), "34 days are observed; it takes 28 to forecast from and 7 to compare with"),
        (noise(1), "1 day is observed"),
        ([*noise(30), *[None, *[1.0] * 6] * 4], "without one that was not observed"),
        ([*noise(28), *[None] * 7, *[1.0] * 7], "nothing was observed in the week before"),
    ],
    ids=["short", "one", "holes", "gap"],
)
def test_an_account_with_too_little_is_listed_with_the_reason(days, why):
    result = backtest(frame({"a": days, "enough": noise(60)}), horizons=[7], sampler=sampler_of(even))
    [skipped] = result.skipped.to_dicts()
    assert (skipped["account_id"], skipped["horizon_days"]) == ("a", 7)
    assert why in skipped["reason"]
    assert set(result.scores["account_id"]) == {"*", "enough"}


def test_a_horizon_without_enough_history_is_listed_and_left_out():
    result = backtest(frame({"a": noise(60)}), sampler=sampler_of(even))
    # Origins are a week apart: of the 60 days, 25 or 32 lie behind one, and 35 or 28 ahead.
    assert result.skipped.select("account_id", "horizon_days").rows() == [("*", 30), ("*", 90), ("a", 30), ("a", 90)]
    assert result.skipped["reason"][2] == "no origin has 28 observed days before it and 30 after it"
    assert set(result.scores["horizon_days"]) == set(result.calibration["horizon_days"]) == {7}


def test_nothing_in_gives_nothing_out_with_every_column():
    for spend in (frame({}), frame({"a": [1.0]})):
        result = backtest(spend, sampler=sampler_of(even))
        assert (len(result.scores), len(result.calibration)) == (0, 0)
        assert (dict(result.scores.schema), dict(result.calibration.schema), dict(result.skipped.schema)) == (
            SCORES,
            CALIBRATION,
            SKIPPED,
        )
        [sentence] = verdict(result.scores)
        assert "too little spend" in sentence


def test_invalid_spend_is_refused():
    spend = frame({"a": noise(60)})
    with pytest.raises(InputError, match="more than once"):
        backtest(pl.concat([spend, spend]))
    with pytest.raises(InputError, match="no column date"):
        backtest(spend.drop("date"))
    with pytest.raises(InputError, match="not a Date"):
        backtest(spend.with_columns(pl.col("date").cast(pl.String)))
    with pytest.raises(InputError, match="at least a day apart"):
        backtest(spend, step_days=0)
    for horizons in ([], [0], [-1, 7]):
        with pytest.raises(InputError, match="whole days"):
            backtest(spend, horizons=horizons)


@pytest.fixture(scope="module")
def histories():
    return frame({"a": noise(90), "b": noise(75, seed=1, level=900.0), "c": [0.0, 0.0, 30.0] * 20, "few": noise(9)})


@pytest.fixture(scope="module")
def usual(histories):
    return backtest(histories, horizons=[7, 30], paths=60)


def test_the_order_of_rows_changes_no_bit(usual, histories):
    again = backtest(histories.sample(fraction=1.0, shuffle=True, seed=5), horizons=[30, 7], paths=60)
    for part in ("scores", "calibration", "skipped"):
        assert getattr(usual, part).equals(getattr(again, part))
    assert not backtest(histories, horizons=[7, 30], paths=60, seed=1).scores.equals(usual.scores)


def test_decimals_are_read_as_numbers(histories):
    rounded = histories.with_columns(pl.col("spend_amount").round(2))
    exact = rounded.with_columns(pl.col("spend_amount").cast(pl.Decimal(38, 9)))
    one, other = (backtest(spend, horizons=[7], step_days=21, paths=20) for spend in (rounded, exact))
    assert one.scores.equals(other.scores)


def test_every_account_is_scored_or_listed(usual):
    accounts = {"a", "b", "c", "few"}
    for horizon in (7, 30):
        scored = set(usual.scores.filter(pl.col("horizon_days") == horizon)["account_id"])
        listed = set(usual.skipped.filter(pl.col("horizon_days") == horizon)["account_id"])
        assert scored | listed == accounts | {"*"}
        assert not scored & listed
    assert list(usual.scores["forecaster"].unique(maintain_order=True)) == list(METHODS)
    assert usual.scores.select("account_id", "forecaster", "horizon_days").is_duplicated().sum() == 0


def test_calibration_rises_with_the_level(usual):
    for _, found in usual.calibration.group_by("account_id", "horizon_days"):
        assert (found.sort("nominal_ratio")["observed_ratio"].diff().drop_nulls() >= 0).all()
