"""Whether a campaign can be afforded: monotonic in what it costs, and what its top-up promises holds on the paths."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.forecasts.engine import InputError, Paths
from pipeline.forecasts.topup import Terms
from pipeline.forecasts.topup.automatic import Rule
from pipeline.forecasts.topup.campaign import Affordability, Campaign, afford

TODAY = date(2026, 11, 21)
OFF = Rule(is_on=False)
DAYS = 30


def _paths(seed: int = 0, *, mean: float = 10.0) -> Paths:
    amounts = np.random.default_rng(seed).gamma(2.0, mean / 2, (200, DAYS))
    return Paths(
        account_id="main",
        as_of=TODAY - timedelta(days=1),
        method="full",
        history_days=90,
        amounts=amounts,
        charges=np.zeros(DAYS),
    )


def _judge(
    amount: str, first: int = 0, last: int = 6, *, balance: str = "200", rule: Rule = OFF, lead: int = 3, seed: int = 0
) -> Affordability:
    campaign = Campaign(
        amount=Decimal(amount), from_date=TODAY + timedelta(days=first), to_date=TODAY + timedelta(days=last)
    )
    return afford(
        _paths(seed),
        campaign,
        balance=Decimal(balance),
        terms=Terms(lead_days=lead),
        rule=rule,
        issue_date=TODAY,
        unit_code="EUR",
        scale=2,
    )


def test_a_campaign_is_affordable_after_a_top_up_or_not_at_all() -> None:
    assert _judge("20").answer == "yes"
    later = _judge("400", first=10, last=16)
    assert later.answer == "after_topup"
    assert later.topup is not None
    assert later.topup.with_topup_probability <= 0.05 < later.with_probability
    assert later.topup.order_by_date is not None
    assert later.topup.order_by_date + timedelta(days=3) < TODAY + timedelta(days=16)
    never = _judge("5000", last=3)
    assert never.answer == "no"
    # The plan that is not enough is the one of the accepted risk.
    assert never.topup is not None
    assert never.topup.topup_risk_probability == 0.05
    # What is ordered today arrives after its end.
    assert _judge("5000", last=2, lead=5).topup is None


@given(
    amounts=st.lists(st.integers(0, 3000), min_size=2, max_size=2).map(sorted),
    first=st.integers(0, 20),
    length=st.integers(0, 9),
    balance=st.integers(-50, 600),
    seed=st.integers(0, 5),
)
# The last order of a plan leaves 5.5 %: too late for nothing, but not for 7 more, whose order comes a day earlier.
@example(amounts=[0, 7], first=4, length=9, balance=157, seed=1)
def test_more_spend_never_raises_the_chance_to_last(
    amounts: list[int], first: int, length: int, balance: int, seed: int
) -> None:
    less, more = (_judge(str(each), first, first + length, balance=str(balance), seed=seed) for each in amounts)
    assert less.without_probability == more.without_probability
    assert less.without_probability <= less.with_probability <= more.with_probability
    answers = ("yes", "after_topup", "no")
    assert answers.index(less.answer) <= answers.index(more.answer)


def test_automatic_top_ups_of_the_vendor_are_included_and_leave_nothing_to_order() -> None:
    rule = Rule(is_on=True, threshold_amount=Decimal(20), topup_amount=Decimal(500))
    covered = _judge("400", first=10, last=16, rule=rule)
    assert (covered.answer, covered.has_auto_topups, covered.topup) == ("yes", True, None)
    beyond = _judge("9000", last=3, rule=rule)
    assert (beyond.answer, beyond.has_auto_topups, beyond.topup) == ("no", True, None)


@given(amount=st.integers(0, 3000), first=st.integers(0, 20), length=st.integers(0, 9), balance=st.integers(0, 400))
def test_what_the_top_up_promises_holds_on_the_paths(amount: int, first: int, length: int, balance: int) -> None:
    found = _judge(str(amount), first, first + length, balance=str(balance))
    if found.answer != "after_topup":
        return
    assert found.topup is not None
    assert found.topup.arrival_date is not None
    arrives = (found.topup.arrival_date - TODAY).days
    days = first + length + 1
    spend = _paths().amounts[:, :days].copy()
    spend[:, first:] += amount / (length + 1)
    left = balance - np.cumsum(spend, axis=1)
    left[:, arrives:] += float(found.topup.topup_amount)
    assert (left < -1e-6).any(axis=1).mean() <= 0.05


def test_days_and_amounts_that_mean_nothing_are_refused() -> None:
    for first, last, words in [
        (-1, 2, "which is over; it can start on 2026-11-21"),
        (0, DAYS, "after the forecast, which ends on 2026-12-20"),
        (5, 4, "before it starts"),
    ]:
        with pytest.raises(InputError, match=words):
            _judge("1", first, last)
    with pytest.raises(InputError, match="must be 0 or more"):
        _judge("-1")
    assert _judge("0", 0, DAYS - 1, balance="2000").answer == "yes"
