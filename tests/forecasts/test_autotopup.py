from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.forecasts import InputError, passed_by_day
from pipeline.forecasts.topup.automatic import AutoTopUps, Rule, simulate
from tests.forecasts.test_topup import paths_of, steady


def follow(amounts: object, balance: str, trigger: str, amount: str) -> AutoTopUps:
    rule = Rule(is_on=True, threshold_amount=Decimal(trigger), topup_amount=Decimal(amount))
    return simulate(paths_of(amounts), balance=Decimal(balance), rule=rule)


def test_a_top_up_is_credited_on_the_day_below_the_trigger():
    # 25, 15 (+20 = 35), 25, 15 (+20 = 35), 25
    found = follow([[10.0] * 5], "35", "20", "20")

    assert found.is_modelled
    assert found.expected_count.tolist() == [0, 1, 1, 2, 2]
    assert found.depleted_probability.tolist() == [0, 0, 0, 0, 0]
    assert found.expected_amount == 40


def test_the_reason_states_the_assumption():
    rule = Rule(is_on=True, threshold_amount=Decimal("20.000000000"), topup_amount=Decimal(100))
    found = simulate(steady(), balance=Decimal(50), rule=rule, unit_code="USD")
    assert found.reason == (
        "Assumed as the vendor states it: below 20.00 USD it pays in 100.00 USD on the same day, at most once a day."
    )


def test_at_the_trigger_itself_nothing_is_paid_in():
    assert follow([[10.0]], "30", "20", "20").expected_count.tolist() == [0]
    assert follow([[10.01]], "30", "20", "20").expected_count.tolist() == [1]
    assert follow([[0.1, 0.2]], "0.6", "0.3", "20").expected_count.tolist() == [0, 0]
    assert follow([[0.1, 0.2]], "0.3", "0", "20").depleted_probability.tolist() == [0, 0]


def test_once_a_day_is_not_always_enough_and_depleted_stays_depleted():
    # 5, -45 + 20 = -25, -25 + 20 = -5, -5 + 20 = 15; the other path spends nothing.
    found = follow([[10.0, 50.0, 0.0, 0.0], [0.0] * 4], "15", "1", "20")

    assert found.depleted_probability.tolist() == [0, 0.5, 0.5, 0.5]
    assert found.expected_count.tolist() == [0, 0.5, 1, 1.5]
    assert found.expected_amount == 30


def test_a_balance_below_zero_is_depleted_and_an_inactive_trigger_is_reported():
    found = follow([[0.0, 0.0]], "-5", "10", "100")
    assert found.depleted_probability.tolist() == [1, 1]
    assert found.expected_count.tolist() == [1, 1]
    assert "nothing was paid in: check that it works" in found.reason
    assert "check that it works" not in follow([[0.0]], "10", "10", "100").reason


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(is_on=False, threshold_amount=Decimal(1), topup_amount=Decimal(1)), "are off"),
        (Rule(is_on=True), "does not state their trigger and amount"),
        (Rule(is_on=True, topup_amount=Decimal(5)), "does not state their trigger."),
        (Rule(is_on=True, threshold_amount=Decimal(5)), "does not state their amount."),
        (Rule(is_on=True, threshold_amount=Decimal(5), topup_amount=Decimal(0)), "an amount of 0.00 has no effect"),
        (Rule(is_on=True, threshold_amount=Decimal(-5), topup_amount=Decimal(9)), "a trigger of -5.00 acts after"),
    ],
)
def test_automatic_top_ups_that_are_not_modelled_have_a_reason(rule, words):
    found = simulate(steady(), balance=Decimal(100), rule=rule)

    assert not found.is_modelled
    assert words in found.reason
    assert found.depleted_probability is found.expected_count is found.expected_amount is None


def test_invalid_money_is_refused():
    with pytest.raises(InputError, match="threshold_amount is NaN"):
        Rule(is_on=True, threshold_amount=Decimal("NaN"))
    with pytest.raises(InputError, match="topup_amount is a float"):
        Rule(is_on=True, topup_amount=5.0)
    with pytest.raises(InputError, match="one: balance is Infinity"):
        follow([[1.0]], "Infinity", "1", "1")
    with pytest.raises(InputError, match=re.escape("one: the paths are empty, or hold NaN")):
        follow([[np.nan]], "1", "1", "1")


def by_hand(cents: list[list[int]], balance: int, trigger: int, amount: int) -> tuple[list[Fraction], list[Fraction]]:
    """Path by path and day by day in whole cents."""
    dry, paid = [0] * len(cents[0]), [0] * len(cents[0])
    for path in cents:
        left, is_dry, count = balance, balance < 0, 0
        for day, spend in enumerate(path):
            left -= spend
            if left < trigger:
                left, count = left + amount, count + 1
            is_dry = is_dry or left < 0
            dry[day] += is_dry
            paid[day] += count
    return [Fraction(each, len(cents)) for each in dry], [Fraction(each, len(cents)) for each in paid]


@st.composite
def cents(draw) -> list[list[int]]:
    days = draw(st.integers(1, 12))
    path = st.lists(st.integers(-200, 2_000), min_size=days, max_size=days)
    return draw(st.lists(path, min_size=1, max_size=8))


@settings(max_examples=200, deadline=None)
@given(cents(), st.integers(-500, 5_000), st.integers(0, 2_000), st.integers(1, 5_000))
def test_all_paths_at_once_are_each_path_by_hand(paths, balance, trigger, amount):
    money = [str(Decimal(each) / 100) for each in (balance, trigger, amount)]
    found = follow(np.array(paths) / 100, *money)
    dry, paid = by_hand(paths, balance, trigger, amount)

    assert found.depleted_probability == pytest.approx([float(each) for each in dry], abs=1e-12)
    assert found.expected_count == pytest.approx([float(each) for each in paid], abs=1e-12)
    assert abs(found.expected_amount - Decimal(amount) / 100 * Decimal(float(paid[-1]))) < Decimal("1e-8")


@settings(max_examples=100, deadline=None)
@given(cents(), st.integers(-500, 5_000), st.integers(0, 2_000), st.integers(1, 5_000))
def test_it_never_runs_dry_sooner_than_without(paths, balance, trigger, amount):
    amounts = np.array(paths) / 100
    found = follow(amounts, *(str(Decimal(each) / 100) for each in (balance, trigger, amount)))
    without = passed_by_day(np.cumsum(amounts, axis=1).T, balance / 100)

    assert (found.depleted_probability <= without + 1e-12).all()
    assert (np.diff(found.depleted_probability) >= 0).all()
