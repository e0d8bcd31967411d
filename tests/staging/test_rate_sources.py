"""Rates of every format and source are one table, in any order of loading; fixed rates begin with the changeover."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from pipeline.landing.rate_files import format_of
from pipeline.landing.store import FX_RATES, OWN
from pipeline.sandbox.ecb_files import EcbFiles
from pipeline.schema.units import ISO_4217
from tests.landing.test_rate_files import DAILY, zipped
from tests.staging.landed import NewWorkshop, Workshop, rates_in_any_order

Land = Callable[[Workshop], object]
FRIDAY = datetime(2026, 3, 13, 18, tzinfo=UTC)
LINES = b"Date,USD,INR,\n2026-11-27,1.1,100,\n2026-11-26,1.2,101,\n"


def _land(workshop: Workshop, body: bytes, number: int, outcome: str = "ok") -> None:
    assert outcome != "ok" or format_of(body)
    workshop.landing.answer(OWN, FX_RATES, body, account_id="*", fetch_id=f"{number:016x}", outcome=outcome)


def test_the_newest_statement_counts_whatever_its_format_and_the_order_of_loading(new_workshop: NewWorkshop) -> None:
    bodies = (LINES, DAILY, zipped(("eurofxref.csv", b"Date, INR, \n27 November 2026, 99.5, \n")))
    stated = rates_in_any_order(
        new_workshop, lambda workshop, number: _land(workshop, bodies[number], number + 1), len(bodies)
    )
    assert stated == [
        (date(2026, 11, 26), "INR", "101.000000000"),
        (date(2026, 11, 26), "USD", "1.200000000"),
        (date(2026, 11, 27), "GBP", "0.833800000"),
        (date(2026, 11, 27), "INR", "99.500000000"),
        (date(2026, 11, 27), "USD", "1.117200000"),
    ]


def test_a_rate_that_cannot_be_stored_exactly_is_rejected_in_any_format(workshop: Workshop) -> None:
    inexact = DAILY.replace(b"1.1172", b"1.1234567891")
    _land(workshop, inexact, 1)
    _land(workshop, zipped(("a.csv", LINES.replace(b"1.2,", b"1e3,"))), 2)
    workshop.load()
    assert workshop.rows(
        "SELECT row_number, column_name, check_name, redacted_value FROM staging.rejects ORDER BY 1"
    ) == [
        (1, "USD", "is_exact_rate", "1.1234567891"),
        (2, "USD", "is_exact_rate", "1e3"),
    ]


def test_an_answer_that_was_landed_as_a_failure_is_not_read(workshop: Workshop) -> None:
    _land(workshop, b"<html>", 1, outcome="unreadable")
    _land(workshop, DAILY, 2, outcome="server_error")
    workshop.load()
    assert workshop.rows("SELECT count(*) FROM staging.fx_rates") == [(0,)]
    assert workshop.rows("SELECT outcome FROM staging.fetches ORDER BY fetch_id") == [
        ("unreadable",),
        ("server_error",),
    ]


def test_rates_of_before_2015_are_not_loaded(workshop: Workshop) -> None:
    found = EcbFiles(0).file("eurofxref-hist.zip", FRIDAY)
    assert found is not None
    _land(workshop, found[1], 1)
    workshop.load()
    assert workshop.rows("SELECT min(rate_date), max(rate_date) FROM staging.fx_rates") == [
        (date(2015, 1, 2), date(2026, 3, 13))
    ]
    assert workshop.rows("SELECT count(*) FROM staging.rejects") == [(0,)]


def test_every_currency_with_a_fixed_rate_is_accepted_for_amounts(workshop: Workshop) -> None:
    workshop.recompute("core")
    fixed = workshop.rows("SELECT unit_code, regulation FROM core.fixed_rates")
    assert len(fixed) == 21
    assert {unit for unit, _ in fixed} <= ISO_4217


def _readings(unit: str, days: Iterable[date]) -> str:
    lines = [f"{day}T00:00:00Z,{1000 - 10 * number},{unit}" for number, day in enumerate(days)]
    return "\n".join(["observed_at_utc,balance_amount,unit_code", *lines])


@pytest.mark.parametrize(
    ("unit", "changeover", "eve", "fixed"),
    [("BGN", date(2026, 1, 1), "1.9558", "1.95583"), ("HRK", date(2023, 1, 1), "7.5365", "7.5345")],
)
def test_a_balance_in_a_currency_that_became_the_euro_converts_before_and_after_and_without_end(
    workshop: Workshop, unit: str, changeover: date, eve: str, fixed: str
) -> None:
    days = [changeover + timedelta(days=number) for number in (-3, -2, -1, 0, 1, 60)]
    end = datetime.combine(days[-1] + timedelta(days=1), datetime.min.time(), UTC)
    workshop.landing.run({"main": {"vendor": "manual", "unit_code": unit}}, at=end)
    workshop.landing.answer("manual", "readings", _readings(unit, days), at=end)
    rates = EcbFiles(0).file("eurofxref-hist.zip", datetime(changeover.year, 1, 1, tzinfo=UTC))
    assert rates is not None
    _land(workshop, rates[1], 10**6)
    workshop.load()
    workshop.recompute("core", "marts")
    spent = workshop.rows("SELECT spend_date, spend_amount, reporting_amount, fx_source FROM core.spend_daily")
    found = {day: (amount, converted, source) for day, amount, converted, source in spent}
    for day, (amount, converted, source) in found.items():
        rate, wanted = (fixed, "fixed") if day >= changeover else (eve, "ecb")
        assert source == wanted, day
        assert abs(converted - amount / Decimal(rate)) < Decimal("0.01"), day
        if day >= changeover:
            assert converted == (amount / Decimal(fixed)).quantize(Decimal("1e-9"))
    assert {source for _, _, source in found.values()} == {"ecb", "fixed"}
    assert workshop.rows(
        "SELECT balance_amount, reporting_balance_amount, fx_source, fx_rate_date, has_old_rate FROM marts.account_status"
    ) == [(Decimal(950), (950 / Decimal(fixed)).quantize(Decimal("1e-9")), "fixed", None, False)]
    assert workshop.rows(
        "SELECT converted_account_count, unconverted_balances, oldest_fx_rate_date, old_rate_account_count "
        "FROM marts.fleet_status"
    ) == [(1, "", None, 0)]
