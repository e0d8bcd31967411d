"""Coverage by month, and whether a fleet moves together: said of fleets that do, and almost never of others."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.forecasts.backtest import backtest
from pipeline.forecasts.backtest_months import target_month
from pipeline.forecasts.backtest_origins import find_origins
from pipeline.forecasts.backtest_shared_misses import (
    LARGEST_CHANCE,
    LEAST_ACCOUNTS,
    LEAST_PERIODS,
    LEAST_VARIANCE_RATIO,
    miss_variance,
    shared_miss_rows,
)
from pipeline.forecasts.shared_miss_verdict import shared_miss_verdict
from tests.forecasts.test_backtest import even, knowing, sampler_of
from tests.forecasts.worlds import frame, noise

FIRST = date(2025, 1, 6)


def sides(accounts: int, origins: int, shared: float, rng: np.random.Generator, weeks: int = 1) -> np.ndarray:
    """Misses of bands that hold 80 %: sums over `weeks` of normal errors, of which `shared` have one cause."""
    own = rng.standard_normal((accounts, origins + weeks))
    errors = shared**0.5 * rng.standard_normal(origins + weeks) + (1 - shared) ** 0.5 * own
    total = np.stack([errors[:, at : at + weeks].sum(axis=1) for at in range(origins)], axis=1) / weeks**0.5
    return (total > 1.2816).astype(np.int8) - (total < -1.2816).astype(np.int8)


def is_said(side: np.ndarray, scored: np.ndarray | None = None) -> bool:
    ratio, chance = miss_variance(np.ones_like(side, dtype=bool) if scored is None else scored, side)
    return ratio >= LEAST_VARIANCE_RATIO and chance <= LARGEST_CHANCE


@pytest.mark.parametrize(("accounts", "origins", "weeks"), [(5, 12, 1), (12, 50, 1), (12, 50, 5), (40, 50, 5)])
def test_of_independent_fleets_it_is_almost_never_said(accounts, origins, weeks):
    rng = np.random.default_rng(1)
    said = sum(is_said(sides(accounts, origins, 0.0, rng, weeks)) for _ in range(60))
    # One in 100 by design; more than 4 of 60 has a chance of 1 in 2,000.
    assert said <= 4


@pytest.mark.parametrize(("accounts", "origins", "weeks"), [(12, 50, 1), (12, 50, 5), (40, 50, 1)])
def test_of_fleets_with_one_cause_it_is_almost_always_said(accounts, origins, weeks):
    rng = np.random.default_rng(2)
    assert sum(is_said(sides(accounts, origins, 0.5, rng, weeks)) for _ in range(25)) >= 24


def test_of_a_fleet_that_halves_for_three_weeks_it_is_always_said():
    rng = np.random.default_rng(3)
    for _ in range(20):
        side = sides(12, 50, 0.0, rng)
        side[:, 30:33] = -1
        assert is_said(side)


def test_bands_that_are_wrong_all_year_or_long_are_not_a_shared_cause():
    rng = np.random.default_rng(4)
    assert not is_said(np.ones((12, 50), dtype=np.int8))
    # Each account steps up once, on a day of its own, and stays above for weeks.
    late = np.zeros((12, 50), dtype=np.int8)
    for row, at in enumerate(rng.permutation(40)[:12]):
        late[row, at : at + 8] = 1
    assert not is_said(late)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**30), st.floats(0, 1), st.integers(1, 12))
def test_the_order_of_accounts_and_days_without_a_forecast_do_not_decide(seed, shared, accounts):
    rng = np.random.default_rng(seed)
    side, scored = sides(accounts, 20, shared, rng), rng.random((accounts, 20)) < 0.8
    ratio, chance = miss_variance(scored, side)
    assert (ratio, chance) == miss_variance(scored, np.where(scored, side, 99).astype(np.int8))
    assert 0 <= ratio <= accounts * 3
    assert 0.001 <= chance <= 1
    mirrored = miss_variance(scored, -side)
    assert mirrored == pytest.approx((ratio, chance))


def test_without_a_miss_there_is_nothing_to_share():
    assert miss_variance(np.ones((6, 20), dtype=bool), np.zeros((6, 20), dtype=np.int8)) == (1.0, 1.0)


@pytest.mark.parametrize(("accounts", "weeks", "is_enough"), [(5, 12, True), (4, 12, False), (5, 11, False)])
def test_with_too_few_accounts_or_periods_it_is_not_judged(accounts, weeks, is_enough):
    # Of twelve weeks, four are behind the first origin.
    spend = frame({f"a{number}": noise(7 * weeks, seed=number) for number in range(accounts)})
    plan = find_origins(spend, [7])
    [row] = shared_miss_rows(plan, "drawdown", plan.is_scored, np.zeros(plan.is_scored.shape, np.int8)).to_dicts()
    assert (row["is_shared"] is not None) == is_enough
    assert row["separate_origin_count"] == weeks - 4
    if not is_enough:
        assert (row["miss_variance_ratio"], row["chance_probability"]) == (None, None)
        [line] = shared_miss_verdict(pl.DataFrame([row]), pl.DataFrame())
        assert line.startswith("Next 7 days: not enough accounts or months to tell whether the fleet moves together.")
        assert f"It takes {LEAST_ACCOUNTS} accounts with {LEAST_PERIODS} forecasts each" in line


def test_a_fleet_of_one_market_is_told_with_its_months():
    """Twelve accounts of 30 weeks whose spend is five times the usual in December: real forecasts, real misses."""
    rng, histories = np.random.default_rng(6), {}
    for number in range(12):
        days = 10 * rng.gamma(20, 0.05, 210)
        months = [(FIRST + timedelta(days=147 + day)).month for day in range(210)]
        histories[f"a{number:02d}"] = np.where(np.array(months) == 12, 5 * days, days).tolist()
    spend = frame(histories, until=FIRST + timedelta(days=147 + 209))
    found = backtest(spend, horizons=[7, 90], paths=100)
    lines = shared_miss_verdict(found.shared_misses, found.months)
    assert lines[0].startswith("Next 7 days: the fleet moves together. In ")
    assert "December 2025" in lines[0]
    assert "totals of 12 accounts ended above their 80 % bands" in lines[0]
    assert lines[1].startswith("Next 90 days: not enough accounts or months")
    [week, quarter] = found.shared_misses.to_dicts()
    assert (week["is_shared"], quarter["is_shared"]) == (True, None)


def test_independent_accounts_are_told_that_nothing_shows():
    spend = frame({f"a{number}": noise(120, seed=number) for number in range(6)})
    found = backtest(spend, horizons=[7], paths=100)
    assert shared_miss_verdict(found.shared_misses, found.months) == [
        "Next 7 days: nothing shows that the fleet moves together (6 accounts)."
    ]


def test_the_month_is_that_of_the_middle_day():
    assert target_month(date(2025, 11, 26), 7) == date(2025, 11, 1)  # 27 November to 3 December
    assert target_month(date(2025, 11, 27), 7) == date(2025, 12, 1)
    assert target_month(date(2025, 11, 30), 1) == date(2025, 12, 1)
    assert target_month(date(2025, 11, 15), 30) == date(2025, 11, 1)  # 16 November to 15 December
    assert target_month(date(2025, 11, 16), 30) == date(2025, 12, 1)


def test_months_add_up_to_the_scores():
    spend = frame({"a": noise(150), "b": noise(120, seed=1), "idle": [0.0] * 150})
    found = backtest(spend, sampler=sampler_of(even))
    own = found.scores.filter(pl.col("account_id") == "*", pl.col("forecaster") == "drawdown")
    for row in own.to_dicts():
        months = found.months.filter(pl.col("horizon_days") == row["horizon_days"])
        assert months["forecast_count"].sum() == row["forecast_count"]
        assert months["origin_count"].sum() == row["origin_count"]
        assert months["account_count"].max() == 2
        for name in ("coverage_80_ratio", "below_80_ratio", "above_80_ratio"):
            held = (months[name] * months["forecast_count"]).sum()
            assert held == pytest.approx(row[name] * row["forecast_count"])


def test_a_month_of_misses_is_seen_in_its_row():
    days = [10.0] * 77
    spend = frame({"a": days, "b": days}, until=date(2025, 12, 28))
    right, low = sampler_of(knowing(spend)), sampler_of(knowing(spend, 0.5))

    def sampler(past, as_of, horizon_days=90, **more):
        return (low if as_of >= date(2025, 12, 1) else right)(past, as_of, horizon_days, **more)

    months = {row["target_month"]: row for row in backtest(spend, horizons=[7], sampler=sampler).months.to_dicts()}
    assert list(months) == [date(2025, 11, 1), date(2025, 12, 1)]
    december = months[date(2025, 12, 1)]
    assert (december["above_80_ratio"], december["coverage_80_ratio"], december["account_count"]) == (0.75, 0.25, 2)
    assert months[date(2025, 11, 1)]["coverage_80_ratio"] == 1
