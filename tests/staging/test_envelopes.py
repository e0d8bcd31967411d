"""Answers that are not accepted: those that state their own failure, and those that raise when they are read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipeline.schema.tables import vendor_table
from pipeline.staging import record_columns, record_reading
from tests.staging.landed import NOW, Workshop
from tests.staging.load_checks import accounted_for, readable

_FAILED = {"success": False, "message": "temporarily unavailable"}


def _lines(workshop: Workshop, vendor: str) -> list[str]:
    lines = []
    for kind in ("balances", "usage_days", "vendor_claims") if vendor == "voxpria" else ("balances",):
        table = vendor_table(vendor, kind)
        assert accounted_for(workshop.connection, vendor, table).passed
        lines += (readable(workshop.connection, vendor, table).description or "").splitlines()
    return lines


def test_a_balance_in_a_failed_answer_changes_nothing_and_is_reported_in_one_line(workshop: Workshop) -> None:
    workshop.landing.answer("deepvue", "wallet", {"success": True, "current_balance": 7})
    workshop.landing.answer("deepvue", "wallet", _FAILED | {"current_balance": 0}, at=NOW + timedelta(hours=1))
    report = workshop.load()
    assert (report.received, report.accepted, report.rejected) == (2, 1, 1)
    assert workshop.rows("SELECT balance_amount FROM staging.balances") == [(7,)]
    assert workshop.rows("SELECT count(*) FROM staging.schema_drift") == [(0,)]
    assert _lines(workshop, "deepvue") == [
        "account main: deepvue wallet: the answer says that it failed ('temporarily unavailable'); earlier data is kept"
    ]
    workshop.landing.answer("deepvue", "wallet", {"current_balance": 6}, at=NOW + timedelta(hours=2))
    workshop.load()
    assert _lines(workshop, "deepvue") == []


@pytest.mark.parametrize("usage", [[], [{"date": "2026-03-17", "calls": 0, "creditsUsed": 0, "cost": "$0"}]])
def test_usage_in_an_answer_that_failed_proves_no_days_without_spend(workshop: Workshop, usage: list[Any]) -> None:
    body = _FAILED | {"data": {"usage": usage, "total": {"creditsUsed": 0}}}
    days = ((NOW - timedelta(days=9)).date(), NOW.date())
    workshop.landing.answer("voxpria", "usage", body, days=days)
    workshop.load()
    assert workshop.rows("SELECT count(*) FROM staging.evidence") == [(0,)]
    assert workshop.rows("SELECT count(*) FROM staging.vendor_claims") == [(0,)]
    assert _lines(workshop, "voxpria") == [
        "account main: voxpria usage: the answer says that it failed ('temporarily unavailable'); earlier data is kept"
    ]


def test_one_failed_window_among_good_ones_is_reported(workshop: Workshop) -> None:
    good = {"success": True, "data": {"usage": [], "total": None}}
    for number, body in enumerate([good, _FAILED, good]):
        day = NOW.date() - timedelta(days=3 - number)
        workshop.landing.answer("voxpria", "usage", body, run_id="r", days=(day, day), is_complete=number == 2)
    workshop.load()
    assert len(_lines(workshop, "voxpria")) == 1


def test_a_status_of_false_is_no_failure_where_the_vendor_documents_it_beside_good_data(workshop: Workshop) -> None:
    workshop.landing.answer("hyperstack", "credit", {"status": False, "message": "", "data": {"credit": 5}})
    workshop.load()
    assert workshop.rows("SELECT balance_amount FROM staging.balances") == [(5,)]


class _Odd(Exception):
    pass


@pytest.mark.parametrize("at_fault", [{0}, {3}, {1, 4}, {0, 1, 2, 3, 4}])
def test_an_answer_that_raises_is_rejected_and_all_others_are_loaded(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, at_fault: set[int]
) -> None:
    amounts = ["13" if number in at_fault else "7" for number in range(5)]
    convert = record_columns.convert

    def raising(field: Any, raw: Any, **more: Any) -> Any:
        if "13" in raw:
            raise _Odd("with a value that must be shown nowhere: 13")
        return convert(field, raw, **more)

    monkeypatch.setattr(record_columns, "convert", raising)
    for number, amount in enumerate(amounts):
        body = {"current_balance": amount, "success": True}
        workshop.landing.answer("deepvue", "wallet", body, account_id=f"account-{number}")
    report = workshop.load()
    assert (report.received, report.rejected) == (5, len(at_fault))
    good = [f"account-{number}" for number in range(5) if number not in at_fault]
    assert workshop.rows("SELECT account_id FROM staging.balances ORDER BY 1") == [(each,) for each in good]
    assert workshop.rows("SELECT DISTINCT column_name, check_name, redacted_value FROM staging.rejects") == [
        ("*", "answer_is_readable", "_Odd")
    ]
    lines = _lines(workshop, "deepvue")
    assert [line.split(":")[0] for line in lines] == [f"account account-{number}" for number in sorted(at_fault)]
    assert all("an answer cannot be read (_Odd)" in line for line in lines)


def test_an_answer_that_raises_on_one_of_many_pages_is_reported(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = record_reading.record_frame

    def raising(records: Any, rows: Any, *more: Any) -> Any:
        if any(row["id"] == 2 for row in rows.rows):
            raise _Odd
        return frame(records, rows, *more)

    monkeypatch.setattr(record_reading, "record_frame", raising)
    for number in (1, 2, 3):
        row = {"id": number, "amount": -1, "created_at": "2026-03-01T10:00:00Z"}
        body = {"data": [row], "links": {}, "meta": {}}
        workshop.landing.answer("vpsbg", "transactions", body, run_id="r", page_number=number, is_complete=number == 3)
    workshop.load()
    assert workshop.rows("SELECT entry_id FROM staging.ledger_entries ORDER BY 1") == [("1",), ("3",)]
    table = vendor_table("vpsbg", "ledger_entries")
    assert "transactions: an answer cannot be read (_Odd)" in (
        readable(workshop.connection, "vpsbg", table).description or ""
    )
