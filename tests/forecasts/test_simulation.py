"""Two ways of topping up on the same past. `pytest -s` shows the tables; nothing here asserts which one wins."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from pipeline.forecasts import InputError, Paths
from pipeline.forecasts.topup import Terms
from pipeline.forecasts.topup.replay import Morning, Replay, by_engine, compare, planned, replay, table, threshold
from tests.forecasts.worlds import noise

FIRST = date(2026, 1, 5)
START, DAYS = 120, 300
TERMS = Terms(lead_days=3, minimum_amount=Decimal(25))


def weekly(seed: int = 1) -> np.ndarray:
    return np.array(noise(DAYS, seed=seed))


def step_up(seed: int = 1) -> np.ndarray:
    days = weekly(seed)
    days[180:] *= 3
    return days


def intermittent(seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(DAYS) < 0.1, rng.gamma(4, 25, DAYS), 0.0)


WORLDS = {"weekly": weekly, "step up": step_up, "intermittent": intermittent}


@pytest.fixture(scope="module", params=WORLDS)
def came_out(request) -> tuple[np.ndarray, list[Replay]]:
    spend = WORLDS[request.param]()
    replays = compare(spend, first_date=FIRST, start=START, terms=TERMS)
    with pl.Config(tbl_rows=-1, fmt_str_lengths=40):
        print(f"\n{request.param}: {table(replays)}")
    return spend, replays


def test_no_money_appears_or_disappears(came_out):
    for each in came_out[1]:
        assert each.opening_amount + sum(each.arrivals) - sum(each.spend) == each.balances[-1]
        before = each.opening_amount
        for spend, arrival, balance in zip(each.spend, each.arrivals, each.balances, strict=True):
            assert before + arrival - spend == balance
            before = balance


def test_all_see_the_same_spend_from_the_same_balance(came_out):
    spend, replays = came_out
    assert len(replays) == 9
    for each in replays:
        assert each.first_date == FIRST + timedelta(days=START)
        assert [float(day) for day in each.spend] == pytest.approx(spend[START:], abs=1e-9)
        assert (each.spend, each.opening_amount) == (replays[0].spend, replays[0].opening_amount)


def test_every_order_arrives_after_the_lead_time_and_none_before_it(came_out):
    for each in came_out[1]:
        assert each.arrivals == (Decimal(0),) * 3 + each.orders[:-3]
        ordered = [day for day, amount in enumerate(each.orders) if amount]
        assert ordered
        assert all(later - sooner > 3 for sooner, later in pairwise(ordered))
        assert all(amount == 0 or amount >= 25 for amount in each.orders)


def test_the_scores_are_those_of_the_balances(came_out):
    replays = came_out[1]
    shown = table(replays)
    for row, each in zip(shown.iter_rows(named=True), replays, strict=True):
        balances = np.array([float(balance) for balance in each.balances])
        assert row["stock_out_days"] == (balances < 0).sum()
        assert row["order_count"] == sum(1 for amount in each.orders if amount)
        assert float(row["idle_amount"]) == pytest.approx(np.maximum(balances, 0).mean())
        month = 30 * np.mean([float(day) for day in each.spend])
        assert row["idle_ratio"] == pytest.approx(np.maximum(balances, 0).mean() / month)


def test_a_higher_threshold_set_once_never_leaves_less(came_out):
    low, high = (each for each in came_out[1] if each.name in ("threshold x 1, set once", "threshold x 3, set once"))
    # Each order of the lower one comes on the same day as the higher one's, or later.
    assert all(above >= below for above, below in zip(high.balances, low.balances, strict=True))
    assert high.balances != low.balances


@pytest.mark.parametrize("policy", ["plan", "set once", "rolling"])
def test_nothing_is_known_of_days_to_come(policy):
    def orders(spend: np.ndarray) -> tuple[Decimal, ...]:
        made = {
            "plan": lambda: planned(TERMS, by_engine(paths=100)),
            "set once": lambda: threshold(TERMS, factor=1.5, is_rolling=False),
            "rolling": lambda: threshold(TERMS, factor=1.5, is_rolling=True),
        }[policy]()
        found = replay(
            spend, first_date=FIRST, start=START, opening=Decimal(100), lead_days=3, policy=made, name=policy
        )
        return found.orders

    spend, other = weekly(), weekly()
    other[200:] *= 7
    # Spend of day 200 is known the next morning.
    known = 200 - START + 1
    assert orders(spend)[:known] == orders(other)[:known]
    assert orders(spend) != orders(other)


def foreknown(spend: np.ndarray) -> tuple[list[date], object]:
    """A forecaster that knows the future, and the days on which it was called."""
    asked: list[date] = []

    def draw(days: np.ndarray, as_of: date) -> Paths:
        asked.append(as_of + timedelta(days=1))
        ahead = np.concatenate([spend[len(days) :], np.zeros(90)])[None, :90]
        return Paths(
            account_id="one", as_of=as_of, method="full", history_days=len(days), amounts=ahead, charges=np.zeros(90)
        )

    return asked, draw


@pytest.mark.parametrize("lead", [0, 3, 10])
def test_with_a_known_future_orders_are_on_the_last_day_and_never_too_late(lead):
    spend = np.round(weekly(), 2)
    _, draw = foreknown(spend)
    terms = Terms(lead_days=lead, cover_days=30)
    found = replay(
        spend,
        first_date=FIRST,
        start=START,
        opening=Decimal(150),
        lead_days=lead,
        policy=planned(terms, draw, replan_days=1),
        name="foreknown",
    )

    assert found.stock_out_days == 0
    assert found.order_count >= 5
    for day, arrived in enumerate(found.arrivals[:-31]):
        if arrived:
            # The next day could not be paid for, and the thirtieth ends with zero left.
            assert found.balances[day] - arrived < found.spend[day + 1]
            assert found.balances[day + 30] - sum(found.arrivals[day + 1 : day + 31]) == 0


def test_a_plan_is_renewed_after_its_days_and_after_an_order():
    spend = np.full(DAYS, 10.0)
    asked, draw = foreknown(spend)
    # 25 days are paid for: ordered on day 22 to arrive on day 25, free again on day 26.
    replay(
        spend,
        first_date=FIRST,
        start=START,
        opening=Decimal(250),
        lead_days=3,
        policy=planned(Terms(lead_days=3, cover_days=30), draw, replan_days=10),
        name="plan",
    )
    days = [(day - FIRST).days - START + 1 for day in asked]
    assert days[:4] == [1, 11, 21, 26]


def test_a_threshold_by_hand():
    spend = np.full(60, 10.0)
    # 4 days of 10 times 1.5 are 60: at 60 nothing is ordered, at 50 it is, and 50 - 3 x 10 are left on its arrival.
    found = replay(
        spend,
        first_date=FIRST,
        start=28,
        opening=Decimal(80),
        lead_days=3,
        policy=threshold(Terms(lead_days=3, cover_days=20), factor=1.5, is_rolling=False),
        name="threshold",
    )
    assert found.orders[:6] == (0, 0, 0, 200, 0, 0)
    assert found.balances[:7] == (70, 60, 50, 40, 30, 20, 210)
    assert found.idle_ratio == pytest.approx(float(found.idle_amount) / 300)


def test_part_of_a_day_waits_a_whole_one_and_the_minimum_is_for_everybody():
    terms = Terms(lead_days=Decimal("2.5"), minimum_amount=Decimal(750))
    _, draw = foreknown(weekly())
    for each in compare(weekly(), first_date=FIRST, start=START, terms=terms, forecaster=draw, factors=[1.5]):
        assert each.lead_days == 3
        assert each.arrivals == (Decimal(0),) * 3 + each.orders[:-3]
        assert min(amount for amount in each.orders if amount) == 750


def test_the_rolling_threshold_follows_the_spend_and_the_other_does_not():
    spend = np.repeat([10.0, 30.0], 40)
    fixed, rolling = (
        replay(
            spend,
            first_date=FIRST,
            start=40,
            opening=Decimal(1000),
            lead_days=0,
            policy=threshold(Terms(lead_days=0), factor=1.0, is_rolling=is_rolling),
            name="threshold",
        )
        for is_rolling in (False, True)
    )
    assert {amount for amount in fixed.orders if amount} == {300}
    assert max(rolling.orders) == 900


def test_days_below_zero_are_counted_and_paid_for_later():
    found = replay(
        np.array([10.0, 10, 10, 10, 10]),
        first_date=FIRST,
        start=1,
        opening=Decimal(5),
        lead_days=2,
        policy=lambda morning: Decimal(100) if morning.balance < 0 else Decimal(0),
        name="too late",
    )
    assert found.orders == (0, 100, 0, 0)
    assert found.balances == (-5, -15, -25, 65)
    assert (found.stock_out_days, found.idle_amount) == (3, Decimal("16.25"))


def nothing(morning: Morning) -> Decimal:
    return Decimal(0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"spend": np.array([1.0, np.nan, 1.0])}, "all of them known"),
        ({"spend": np.ones((2, 3))}, "must be one row"),
        ({"start": 0}, "start is 0"),
        ({"start": 5}, "start is 5"),
        ({"lead_days": -1}, "lead_days is -1"),
        ({"policy": lambda morning: Decimal(-1)}, "orders -1"),
        ({"policy": lambda morning: 1.0}, "order is a float"),
    ],
)
def test_an_impossible_replay_is_refused(wrong, words):
    usual = {"spend": np.ones(5), "first_date": FIRST, "start": 2, "opening": Decimal(1), "lead_days": 1}
    usual |= {"policy": nothing, "name": "it"} | wrong
    with pytest.raises(InputError, match=words):
        replay(usual.pop("spend"), **usual)


def test_a_plan_cannot_be_made_more_often_than_daily():
    with pytest.raises(InputError, match="replan_days is 0"):
        planned(TERMS, by_engine(), replan_days=0)
