"""An entry that a vendor lists later than any look-back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pytest_httpserver import HTTPServer

from pipeline.landing.listing_walk import Span
from tests.landing.walking import LEDGER, TODAY, Vendor, Walker, ledger
from tests.staging.landed import Workshop

_LATE = TODAY - timedelta(days=60)


def _unexplained(workshop: Workshop) -> list[tuple[Decimal, str | None]]:
    workshop.load()
    workshop.recompute("core")
    return workshop.rows("SELECT unexplained_amount, unexplained_class FROM core.balance_bridge ORDER BY opened_at_utc")


@pytest.mark.faults(28)
def test_the_bridge_shows_an_entry_later_than_the_look_back_and_a_backfill_fixes_it(
    httpserver: HTTPServer, workshop: Workshop
) -> None:
    vendor = Vendor(httpserver)
    walker = Walker(vendor.url, workshop.home.landing)
    walker.made.run({"main": {"vendor": "vpsbg"}})
    # An entry of 1 each day at ten; the balance is read at noon.
    for day in (_LATE - timedelta(days=1), _LATE, TODAY):
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        balance = 1000 - (day - _LATE).days
        walker.made.answer("vpsbg", "balance", {"balance": f"{balance}.00", "currency": "EUR"}, at=at)
    whole = ledger(80)
    vendor.rows = [row for row in whole if row["id"] != f"{_LATE}-0"]
    walker.visit(LEDGER)
    gap = [(Decimal(-1), "missing_entry"), (Decimal(0), None)]
    assert _unexplained(workshop) == gap

    vendor.rows = whole
    usual = walker.visit(LEDGER, today=TODAY + timedelta(days=1))
    assert f"{_LATE}-0" not in usual.ids
    assert _unexplained(workshop) == gap

    wanted = Span(from_date=_LATE, to_date=_LATE)
    assert f"{_LATE}-0" in walker.visit(LEDGER, today=TODAY + timedelta(days=2), wanted=wanted).ids
    assert _unexplained(workshop) == [(Decimal(0), None), (Decimal(0), None)]
