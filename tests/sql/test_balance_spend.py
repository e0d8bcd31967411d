"""Spend from falling balances, for any balances at any times."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models import discovery, recompute
from tests.sql.rows import fill_in, insert
from tests.staging.landed import NewWorkshop, Workshop

_START = datetime(2026, 1, 30, tzinfo=UTC)
_INSTANTS = st.one_of(
    st.integers(0, 20 * 24).map(lambda hours: _START + timedelta(hours=hours)),
    st.integers(0, 20 * 86_400_000_000).map(lambda microseconds: _START + timedelta(microseconds=microseconds)),
    st.integers(0, 20).map(lambda days: _START + timedelta(days=days)),
)
_AMOUNTS = st.integers(-(10**12), 10**18).map(lambda number: Decimal(number).scaleb(-9))


def _put(workshop: Workshop, readings: dict[datetime, Decimal]) -> None:
    connection = workshop.connection
    first, last = min(readings).date(), max(readings).date()
    insert(connection, "core.accounts", [{"evidence_level": "balance"}])
    insert(connection, "staging.evidence", [{"basis": "balance", "first_date": str(first), "through_date": str(last)}])
    rows = [
        {"observed_at_utc": instant.isoformat(), "balance_amount": str(amount)} for instant, amount in readings.items()
    ]
    insert(connection, "core.balance_snapshots", rows)
    months = [{"dirty_month": str(month)} for month in {day.replace(day=1) for day in (first, last)}]
    insert(connection, "staging.dirty_months", months)
    fill_in(connection)


@settings(max_examples=60, deadline=None)
@given(readings=st.dictionaries(_INSTANTS, _AMOUNTS, min_size=2, max_size=8))
def test_daily_spend_adds_up_to_the_falls_exactly_and_is_never_negative(
    new_workshop: NewWorkshop, readings: dict[datetime, Decimal]
) -> None:
    with new_workshop() as workshop:
        connection = workshop.connection
        _put(workshop, readings)
        with workshop.warehouse.transaction():
            recompute.recompute(connection, discovery.discover()["core.spend_daily"])
        rows: list[tuple[date, Decimal]] = connection.sql(
            "SELECT spend_date, spend_amount FROM core.spend_daily ORDER BY spend_date"
        ).fetchall()
    ordered = [readings[instant] for instant in sorted(readings)]
    falls = sum((one - other for one, other in pairwise(ordered) if one > other), Decimal(0))
    assert sum(amount for _, amount in rows) == falls
    assert all(amount >= 0 for _, amount in rows)
    first, last = min(readings).date(), max(readings).date()
    assert [day for day, _ in rows] == [first + timedelta(days=day) for day in range((last - first).days + 1)]
