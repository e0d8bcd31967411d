"""Instants and days: stored in UTC, and rejected if ambiguous."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.staging.convert import convert
from pipeline.vendors._port import date as date_field
from pipeline.vendors._port import instant, instant_utc
from tests.staging.landed import Workshop

_INSTANT = instant("effective_at_utc", "at")
_INSTANT_UTC = instant_utc("observed_at_utc", "at")
_DATE = date_field("usage_date", "day")
_SOFIA = ZoneInfo("Europe/Sofia")


@pytest.mark.faults(37)
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-03-18T12:00:00Z", datetime(2026, 3, 18, 12, tzinfo=UTC)),
        ("2026-03-18 12:00:00Z", datetime(2026, 3, 18, 12, tzinfo=UTC)),
        ("2026-03-18T12:00:00.000001Z", datetime(2026, 3, 18, 12, 0, 0, 1, tzinfo=UTC)),
        ("2026-03-18T12:00:00.123456789Z", datetime(2026, 3, 18, 12, 0, 0, 123456, tzinfo=UTC)),
        ("2026-03-18T12:00:00+00:00", datetime(2026, 3, 18, 12, tzinfo=UTC)),
        ("2026-03-18T00:30:00+05:30", datetime(2026, 3, 17, 19, tzinfo=UTC)),
        ("2026-03-17T20:00:00-08:00", datetime(2026, 3, 18, 4, tzinfo=UTC)),
        ("2026-03-18T00:00:00+02:00", datetime(2026, 3, 17, 22, tzinfo=UTC)),
        ("1773835200", datetime(2026, 3, 18, 12, tzinfo=UTC)),
        (1773835200, datetime(2026, 3, 18, 12, tzinfo=UTC)),
        (1773835200001, datetime(2026, 3, 18, 12, 0, 0, 1000, tzinfo=UTC)),
        ("1773835200.000001", datetime(2026, 3, 18, 12, 0, 0, 1, tzinfo=UTC)),
        (4102444799, datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_an_instant_with_an_offset_or_since_1970_is_stored_in_utc(text: object, wanted: datetime) -> None:
    converted = convert(_INSTANT, [text])
    assert converted.values.to_list() == [wanted]
    assert not converted.refused.any()


@pytest.mark.faults(37)
@pytest.mark.parametrize(
    "value",
    [
        "2026-03-18T12:00:00", "2026-03-18 12:00:00", "2026-03-18", "12:00:00Z", "2026-02-29T00:00:00Z",
        "2026-03-18T24:30:00Z", "2026-03-18T12:61:00Z", "2026-13-01T00:00:00Z", "18/03/2026 12:00:00Z", "177383520",
        17738352000, "1773835200Z", "now", "", "2026-03-18T12:00:00+99:00", "2026-03-18T12:00:00Z and more", "２０２６-03-18T12:00:00Z",
        "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T00:00:00Z", True, ["2026-03-18T12:00:00Z"],
    ],
)  # fmt: skip
def test_a_naive_or_senseless_instant_is_rejected(value: object) -> None:
    converted = convert(_INSTANT, [value])
    assert (converted.values.to_list(), converted.refused.to_list()) == ([None], [True])
    assert converted.check_name == "is_instant_with_offset"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-03-18", datetime(2026, 3, 18, tzinfo=UTC)),
        ("2026-03-18 09:30", datetime(2026, 3, 18, 9, 30, tzinfo=UTC)),
        ("2026-03-18T09:30:15", datetime(2026, 3, 18, 9, 30, 15, tzinfo=UTC)),
        ("2026-03-18 09:30+02:00", datetime(2026, 3, 18, 7, 30, tzinfo=UTC)),
        ("2026-03-18T09:30:00Z", datetime(2026, 3, 18, 9, 30, tzinfo=UTC)),
    ],
)
def test_in_a_utc_column_a_naive_instant_is_utc_and_a_day_its_midnight(text: str, wanted: datetime) -> None:
    assert convert(_INSTANT_UTC, [text]).values.to_list() == [wanted]


@settings(max_examples=200, deadline=None)
@given(
    instant=st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC)),
    offset=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timedelta(minutes=minutes)),
)
def test_any_offset_gives_the_same_instant(instant: datetime, offset: timedelta) -> None:
    local = (instant + offset).replace(tzinfo=None)
    sign, minutes = ("-" if offset < timedelta(0) else "+"), abs(offset) // timedelta(minutes=1)
    text = f"{local.isoformat(timespec='microseconds')}{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    assert convert(_INSTANT, [text]).values.to_list() == [instant]


@pytest.mark.parametrize(
    "text", ["2026-3-18", "2026-02-29", "18.03.2026", "20260318", "2026-03-18T00:00:00Z", "", "0000-01-01"]
)
def test_a_day_that_is_none_is_rejected(text: str) -> None:
    converted = convert(_DATE, [text])
    assert (converted.values.to_list(), converted.refused.to_list()) == ([None], [True])


@pytest.mark.faults(37)
@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)], ids=str
)
def test_a_local_day_of_23_or_25_hours_neither_loses_nor_doubles_an_hour(
    workshop: Workshop, day: date, hours: int
) -> None:
    """A Sofia day, hour by hour in local time: every UTC hour appears once, in its own UTC day."""
    start = datetime(day.year, day.month, day.day, tzinfo=_SOFIA).astimezone(UTC)
    end = (datetime(day.year, day.month, day.day, tzinfo=_SOFIA) + timedelta(days=1)).astimezone(UTC)
    starts = [start + timedelta(hours=hour) for hour in range((end - start) // timedelta(hours=1))]
    assert len(starts) == hours
    rows = [
        {"id": number, "amount": -1, "created_at": at.astimezone(_SOFIA).isoformat(), "type": "usage"}
        for number, at in enumerate(starts)
    ]
    workshop.landing.run({"main": {}}, at=end + timedelta(days=2))
    workshop.landing.answer(
        "vpsbg", "transactions", {"data": rows, "links": {}, "meta": {}}, at=end + timedelta(days=2)
    )
    assert workshop.load().accepted == hours
    stored = workshop.rows("SELECT effective_at_utc FROM staging.ledger_entries ORDER BY 1")
    assert [at for (at,) in stored] == starts
    workshop.recompute("core")
    spent = dict(workshop.rows("SELECT spend_date, spend_amount FROM core.spend_daily WHERE spend_amount <> 0"))
    before = sum(at.date() < day for at in starts)
    assert spent == {day - timedelta(days=1): before, day: hours - before}
