"""The largest affordable amounts: `afford` says yes to each, and not to a little more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.forecasts.engine import Paths
from pipeline.forecasts.forecast_inputs import Inputs
from pipeline.forecasts.spend_headroom import SpendHeadroom
from pipeline.forecasts.topup import Terms
from pipeline.forecasts.topup.automatic import Rule, simulate
from pipeline.forecasts.topup.campaign import Affordability, Campaign, afford
from pipeline.forecasts.topup.headroom import headroom

TODAY = date(2026, 11, 21)
FROM = TODAY + timedelta(days=1)
DAYS = 40
RISKS = (0.01, 0.05, 0.10, 0.20)
OFF = Rule(is_on=False)
_OBSERVED = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _day(number: int) -> date:
    return TODAY + timedelta(days=number)


def _paths(seed: int, *, count: int, refunds: float = 0.0, behind: int = 0) -> Paths:
    """Paths of about 10 a day; `refunds` of the days give back. The first day is `behind` days before TODAY."""
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(2.0, 5.0, (count, DAYS))
    amounts[rng.random(amounts.shape) < refunds] *= -3
    return Paths(
        account_id="main", as_of=TODAY - timedelta(days=1 + behind), method="full", history_days=90, amounts=amounts,
        charges=np.zeros(DAYS),
    )  # fmt: skip


def _collected(rule: Rule, *, balance: int, resets_at: datetime | None = None) -> pl.DataFrame:
    """Rows of three accounts: with paths, without, and no longer configured."""
    facts = [
        {
            "account_id": name, "balance_amount": Decimal(balance), "spent_amount": Decimal(5), "unit_code": "EUR",
            "is_auto": rule.is_on, "auto_threshold_amount": rule.threshold_amount, "auto_topup_amount": rule.topup_amount,
            "resets_at_utc": resets_at, "quota_amount": None, "last_reset_at_utc": None, "observed_at_utc": _OBSERVED,
        }
        for name in ("main", "gone")
    ]  # fmt: skip
    nothing = pl.DataFrame()
    inputs = Inputs(
        as_of=TODAY - timedelta(days=1), spend=nothing, balances=pl.DataFrame(facts), known_charges=nothing,
        priors=nothing,
    )  # fmt: skip
    headrooms = SpendHeadroom(inputs, [("main", "EUR"), ("new", "INR")])
    paths = _paths(0, count=100)
    headrooms.add(paths)
    headrooms.add(replace(paths, account_id="gone"))
    return headrooms.frame()


@pytest.mark.parametrize(
    ("rule", "balance", "codes"),
    [
        (OFF, 200, {7: "largest", 30: "risk_exceeded", 90: "beyond_forecast"}),
        (Rule(is_on=True), 200, {7: "largest", 30: "risk_exceeded", 90: "beyond_forecast"}),
        (
            Rule(is_on=True, threshold_amount=Decimal(20), topup_amount=Decimal(500)),
            200,
            {7: "at_least", 30: "at_least", 90: "beyond_forecast"},
        ),
        (OFF, -20, {7: "risk_exceeded", 30: "risk_exceeded", 90: "beyond_forecast"}),
    ],
)
def test_every_account_has_a_row_with_its_code_for_each_horizon_and_risk(
    rule: Rule, balance: int, codes: dict[int, str]
) -> None:
    rows = _collected(rule, balance=balance)
    assert rows.group_by("account_id").len().sort("account_id").rows() == [("main", 20), ("new", 20)]
    assert set(rows.filter(pl.col("account_id") == "new")["headroom_code"]) == {"no_forecast"}
    for row in rows.filter(pl.col("account_id") == "main").to_dicts():
        assert row["from_date"] == FROM
        assert row["to_date"] == _day(row["horizon_days"] - 1)
        if row["horizon_days"] in codes:
            assert row["headroom_code"] == codes[row["horizon_days"]], row
        assert (row["headroom_amount"] is None) == (row["headroom_code"] == "beyond_forecast")
        if row["horizon_days"] == 30 or row["headroom_code"] == "risk_exceeded":
            assert row["headroom_amount"] == 0


def test_a_quota_has_no_headroom_in_advance() -> None:
    rows = _collected(OFF, balance=200, resets_at=_OBSERVED + timedelta(days=9)).filter(pl.col("account_id") == "main")
    assert set(rows["headroom_code"]) == {"quota"}
    assert rows["headroom_amount"].null_count() == rows["depleted_probability"].null_count() == rows.height == 20


def _asked(paths: Paths, amount: Decimal, last: date, risk: float, balance: Decimal, rule: Rule = OFF) -> Affordability:
    return afford(
        paths,
        Campaign(amount=amount, from_date=FROM, to_date=last),
        balance=balance,
        terms=Terms(lead_days=3, risk=risk),
        rule=rule,
        issue_date=TODAY,
        unit_code="EUR",
        scale=2,
    )


@given(
    balance=st.decimals(-50, 900, places=2),
    lengths=st.lists(st.integers(1, DAYS + 5), min_size=1, max_size=5, unique=True).map(sorted),
    seed=st.integers(0, 9),
    count=st.integers(1, 300),
    refunds=st.sampled_from([0.0, 0.2]),
    behind=st.integers(0, 12),
    scale=st.sampled_from([0, 2]),
)
def test_afford_says_yes_to_each_amount_and_not_to_a_little_more(
    balance: Decimal, lengths: list[int], seed: int, count: int, refunds: float, behind: int, scale: int
) -> None:
    paths = _paths(seed, count=count, refunds=refunds, behind=behind)
    ends = [_day(length) for length in lengths]
    found = headroom(paths, balance=balance, from_date=FROM, to_dates=ends, risks=RISKS, scale=scale)
    assert found.to_dates == tuple(day for day in ends if day <= paths.as_of + timedelta(days=DAYS))
    for last, amounts, dry in zip(found.to_dates, found.amounts, found.depleted_probabilities, strict=True):
        for risk, amount in zip(RISKS, amounts, strict=True):
            kept = _asked(paths, amount or Decimal(0), last, risk, balance)
            assert kept.without_probability == dry
            if amount is None:
                assert dry > risk
                continue
            assert kept.answer == "yes"
            assert _asked(paths, amount + Decimal(1).scaleb(-scale), last, risk, balance).answer != "yes"
        known = [-1 if amount is None else amount for amount in amounts]
        assert known == sorted(known)


def test_what_is_left_on_the_tightest_day_decides() -> None:
    # 140 in the first five days, and 300 back on the 7th: of 200, 60 are left on the 6th, the 5th of 9 days.
    amounts = np.zeros((100, DAYS))
    amounts[:, 4], amounts[:, 6] = 140.0, -300.0
    paths = Paths(
        account_id="main", as_of=TODAY - timedelta(days=1), method="full", history_days=90, amounts=amounts,
        charges=np.zeros(DAYS),
    )  # fmt: skip
    found = headroom(paths, balance=Decimal(200), from_date=FROM, to_dates=[_day(4), _day(9)], risks=[0.05], scale=2)
    assert found.amounts == ((Decimal("60.00"),), (Decimal("108.00"),))


@given(
    balance=st.integers(0, 400),
    trigger=st.none() | st.integers(-5, 60),
    top_up=st.none() | st.integers(-5, 300),
    is_on=st.booleans(),
    seed=st.integers(0, 3),
)
def test_with_automatic_top_ups_at_least_that_can_be_afforded(
    balance: int, trigger: int | None, top_up: int | None, is_on: bool, seed: int
) -> None:
    paths = _paths(seed, count=100)
    rule = Rule(
        is_on=is_on,
        threshold_amount=None if trigger is None else Decimal(trigger),
        topup_amount=None if top_up is None else Decimal(top_up),
    )
    assert simulate(paths, balance=Decimal(balance), rule=rule).is_modelled == rule.can_be_modelled
    found = headroom(paths, balance=Decimal(balance), from_date=FROM, to_dates=[_day(14)], risks=[0.05], scale=2)
    if (amount := found.amounts[0][0]) is not None:
        assert _asked(paths, amount, _day(14), 0.05, Decimal(balance), rule).answer == "yes"
