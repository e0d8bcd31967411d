"""Quotas: an account whose balance is set back must only last until then."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.forecasts.engine import Paths, passed_by_day
from pipeline.forecasts.forecast_inputs import read_inputs
from pipeline.forecasts.quota import Quota, before_reset, simulate
from tests.sql.rows import fill_in, insert
from tests.staging.landed import Workshop

AS_OF = date(2026, 3, 17)
"""The last whole day: paths begin on the 18th."""


def _paths(amounts: object) -> Paths:
    array = np.asarray(amounts, dtype=np.float64)
    return Paths(
        account_id="main", as_of=AS_OF, amounts=array, charges=np.zeros(array.shape[1]), method="full", history_days=90
    )


def _quota(resets_at: str, size: float = 100, last: str | None = None) -> Quota:
    return Quota(
        resets_at_utc=datetime.fromisoformat(resets_at),
        quota_amount=Decimal(str(size)),
        last_reset_at_utc=None if last is None else datetime.fromisoformat(last),
    )


def test_a_coin_a_day_has_the_chance_that_can_be_counted() -> None:
    # Every sequence of six days that each spend 0 or 10: 35 left, and a reset after the fourth day.
    flips = _paths(list(itertools.product((0.0, 10.0), repeat=6)))
    found = simulate(flips, balance=Decimal(35), quota=_quota("2026-03-22T00:00:00+00:00", size=15))

    # Used up before it only if all four days spend; afterwards by two more days, whatever came before.
    assert found.before_reset_probability.tolist() == [0, 0, 0, 1 / 16, 1 / 16, 1 / 16]
    assert found.depleted_probability.tolist() == [0, 0, 0, 1 / 16, 1 / 16, 1 / 16 + 15 / 16 / 4]


def test_a_reset_within_a_day_has_the_days_spend_on_both_sides() -> None:
    steady = _paths([[24.0] * 4])
    # 24 a day from midnight: by 6:00 on the second day 30 are gone.
    for left, dry in ((30, [0, 0, 0, 0]), (29, [0, 1, 1, 1])):
        found = simulate(steady, balance=Decimal(left), quota=_quota("2026-03-19T06:00:00+00:00", size=1000))
        assert found.before_reset_probability.tolist() == dry
        assert found.depleted_probability.tolist() == dry
    # 18 on the rest of that day, and 24 on each that follows.
    found = simulate(steady, balance=Decimal(30), quota=_quota("2026-03-19T06:00:00+00:00", size=41))
    assert found.depleted_probability.tolist() == [0, 0, 1, 1]
    assert found.before_reset_probability.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("resets_at", "last", "wanted"),
    [
        ("2026-01-31T00:00:00+00:00", None, ["01-31", "02-28", "03-31", "04-30"]),
        ("2026-01-31T00:00:00+00:00", "2025-12-31T00:00:00+00:00", ["01-31", "02-28", "03-31", "04-30"]),
        ("2026-01-31T00:00:00+00:00", "2026-01-24T00:00:00+00:00", ["01-31", "02-07", "02-14", "02-21"]),
        # Thirty days are a month as far as anyone can tell.
        ("2026-01-31T00:00:00+00:00", "2026-01-01T00:00:00+00:00", ["01-31", "02-28", "03-31", "04-30"]),
        ("2026-01-31T00:00:00+00:00", "2025-01-31T00:00:00+00:00", ["01-31"]),
    ],
)
def test_later_resets_follow_in_months_or_in_the_steps_of_the_last(
    resets_at: str, last: str | None, wanted: list[str]
) -> None:
    resets = _quota(resets_at, last=last).resets(datetime(2027, 1, 1, tzinfo=UTC))
    assert [f"{at:%m-%d}" for at in itertools.islice(resets, 4)] == wanted


def test_a_stated_reset_that_is_past_is_followed_by_the_next_one() -> None:
    weekly = _quota("2026-03-02T00:00:00+00:00", last="2026-02-23T00:00:00+00:00")
    assert weekly.after(datetime(2026, 3, 1, tzinfo=UTC)) == weekly
    later = weekly.after(datetime(2026, 3, 17, 6, tzinfo=UTC))
    assert later.resets_at_utc == datetime(2026, 3, 23, tzinfo=UTC)
    assert later.last_reset_at_utc == datetime(2026, 3, 16, tzinfo=UTC)


def test_the_paths_before_a_reset_are_its_whole_days() -> None:
    paths = _paths(np.ones((2, 5)))
    days = [before_reset(paths, _quota(f"2026-03-{day}:00:00+00:00")) for day in ("18T09", "19T00", "21T23", "30T00")]
    assert [None if each is None else each.amounts.shape[1] for each in days] == [None, 1, 3, 5]


def test_the_full_size_and_the_last_reset_are_read_from_the_balances(workshop: Workshop) -> None:
    readings = [
        # observed, balance, resets, quota
        ("sized", "2026-02-10", 5000, "2026-03-01", None),
        ("sized", "2026-03-18", 300, "2026-04-01", 1000),
        ("unsized", "2026-02-10", 5000, "2026-03-01", None),
        ("unsized", "2026-03-02", 960, "2026-04-01", None),
        ("unsized", "2026-03-18", 300, "2026-04-01", None),
        ("first", "2026-03-17", 400, "2026-04-01", None),
        ("first", "2026-03-18", 300, "2026-04-01", None),
        ("prepaid", "2026-03-18", 300, None, None),
    ]
    insert(
        workshop.connection, "core.accounts", [{"account_id": name} for name in sorted({row[0] for row in readings})]
    )
    insert(
        workshop.connection,
        "core.balance_snapshots",
        [
            {
                "account_id": name, "observed_at_utc": f"{observed}T06:00:00Z", "balance_amount": str(balance),
                "resets_at_utc": f"{resets}T00:00:00Z" if resets else "null", "quota_amount": str(size or "null"),
            }
            for name, observed, balance, resets, size in readings
        ],
    )  # fmt: skip
    fill_in(workshop.connection)
    found = {row["account_id"]: row for row in read_inputs(workshop.connection, AS_OF).balances.to_dicts()}
    march = datetime(2026, 3, 1, tzinfo=UTC)
    assert {name: (row["quota_amount"], row["last_reset_at_utc"]) for name, row in found.items()} == {
        "sized": (1000, march), "unsized": (960, march), "first": (400, None), "prepaid": (None, None),
    }  # fmt: skip


_DAYS = 20
_SPEND = st.lists(st.lists(st.integers(0, 50), min_size=_DAYS, max_size=_DAYS), min_size=1, max_size=8)


@given(
    spend=_SPEND,
    added=st.lists(st.integers(0, 20), min_size=_DAYS, max_size=_DAYS),
    balance=st.integers(0, 400),
    size=st.integers(0, 400),
    hours=st.integers(1, 30 * 24),
    step=st.integers(1, 20 * 24),
)
def test_more_spend_never_lowers_the_chance_and_up_to_its_reset_a_quota_is_a_balance(
    spend: list[list[int]], added: list[int], balance: int, size: int, hours: int, step: int
) -> None:
    first = datetime(2026, 3, 18, tzinfo=UTC) + timedelta(hours=hours)
    quota = Quota(resets_at_utc=first, quota_amount=Decimal(size), last_reset_at_utc=first - timedelta(hours=step))
    paths, more = _paths(spend), _paths(np.asarray(spend) + np.asarray(added))
    less_found = simulate(paths, balance=Decimal(balance), quota=quota)
    more_found = simulate(more, balance=Decimal(balance), quota=quota)
    for name in ("depleted_probability", "before_reset_probability"):
        fewer, greater = getattr(less_found, name), getattr(more_found, name)
        assert (fewer <= greater).all()
        assert (np.diff(fewer) >= 0).all()
    assert (less_found.before_reset_probability <= less_found.depleted_probability).all()
    # Up to its reset, a quota is a balance like any other; without a reset ahead, it is nothing else.
    plain = passed_by_day(np.cumsum(paths.amounts, axis=1).T, float(balance))
    whole = min(math.floor(hours / 24), _DAYS)
    assert less_found.before_reset_probability[:whole].tolist() == plain[:whole].tolist()
    assert (less_found.before_reset_probability <= plain).all()
    if hours >= _DAYS * 24:
        assert less_found.depleted_probability.tolist() == plain.tolist()
