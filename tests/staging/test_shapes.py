"""Answers with a changed shape: what is rejected, what is kept, and what is reported."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from pipeline.published import report
from pipeline.schema.tables import vendor_table
from tests.staging.landed import NOW, Workshop
from tests.staging.load_checks import accounted_for, readable

_BALANCE = {
    "balance": 10, "currency": "EUR", "balance_limit": 0, "estimated_expenses": 5, "shortfall": 0,
    "unconfirmed_bitcoin_deposits": [],
}  # fmt: skip
_LATER = NOW + timedelta(hours=1)


def _entry(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": number, "amount": -1, "created_at": f"2026-03-{number:02d}T10:00:00Z", "type": "renewal"} | changes


def _page(*rows: Any) -> dict[str, Any]:
    return {"data": list(rows), "links": {"next": None}, "meta": {}}


def _usage(*rows: Any, total: object = None) -> dict[str, Any]:
    return {"success": True, "data": {"usage": list(rows), "total": total}}


def _drift(workshop: Workshop) -> set[tuple[str, str]]:
    return set(workshop.rows("SELECT column_name, check_name FROM staging.schema_drift"))


def _readable(workshop: Workshop, vendor: str, kind: str) -> str | None:
    check = readable(workshop.connection, vendor, vendor_table(vendor, kind))
    return None if check.passed else check.description


_WRONG: list[dict[str, Any]] = [
    {"amount": "zzz"}, {"created_at": None}, {"amount": None}, {"created_at": "aaa"}, {"id": None}, {"amount": "1e999999"},
]  # fmt: skip


def test_a_message_about_several_rejects_names_one_of_them(workshop: Workshop) -> None:
    pairs = {f"account-{number}": pair for number, pair in enumerate(permutations(_WRONG, 2))}
    for account_id, pair in pairs.items():
        rows = [_entry(number, **wrong) for number, wrong in enumerate(pair, 1)]
        workshop.landing.answer("vpsbg", "transactions", _page(*rows), account_id=account_id)
    workshop.load()
    lines = (_readable(workshop, "vpsbg", "ledger_entries") or "").splitlines()
    assert len(lines) == len(pairs)
    for line, account_id in zip(lines, sorted(pairs), strict=True):
        rejects = workshop.rows(
            f"SELECT column_name, check_name, redacted_value FROM staging.rejects WHERE account_id = '{account_id}'"
        )
        assert len(rejects) >= 2
        assert f"account {account_id}: " in line
        assert [each for each in rejects if f"({each[0]}: {each[1]}, found {each[2]!r})" in line], (line, rejects)


@pytest.mark.faults(23)
def test_a_renamed_balance_keeps_the_earlier_one_and_rejects_the_claims_of_its_answer(
    workshop: Workshop,
) -> None:
    workshop.landing.answer("vpsbg", "balance", _BALANCE)
    workshop.load()
    moved = {"funds" if key == "balance" else key: value for key, value in _BALANCE.items()}
    workshop.landing.answer("vpsbg", "balance", moved, at=_LATER)
    report = workshop.load()
    assert (report.received, report.accepted, report.rejected) == (3, 0, 3)
    assert workshop.rows("SELECT balance_amount FROM staging.balances") == [(Decimal(10),)]
    assert workshop.rows("SELECT count(*) FROM staging.vendor_claims") == [(2,)]
    assert workshop.rows("SELECT record_kind, column_name, check_name FROM staging.rejects ORDER BY ALL") == [
        ("balances", "balance_amount", "is_present"),
        ("vendor_claims:estimated_expenses", "*", "answer_is_readable"),
        ("vendor_claims:shortfall", "*", "answer_is_readable"),
    ]
    assert {
        ("balance_amount", "unreadable_in_every_row"),
        ("balance", "missing_field"),
        ("funds", "unknown_field"),
    } <= _drift(workshop)
    assert _readable(workshop, "vpsbg", "balances") == (
        "account main: vpsbg balance: no row could be read (balance_amount: is_present, found None); earlier data "
        "is kept. See staging.rejects and staging.schema_drift"
    )
    assert accounted_for(workshop.connection, "vpsbg", vendor_table("vpsbg", "balances")).passed


@pytest.mark.parametrize("side", [{"shortfall": "none"}, {"estimated_expenses": "N/A", "shortfall": "9e28"}])
def test_an_estimate_that_cannot_be_read_costs_the_estimate_and_fails_no_run(
    workshop: Workshop, side: dict[str, Any]
) -> None:
    body = {key: value for key, value in _BALANCE.items() if key not in ("estimated_expenses", "shortfall")}
    workshop.landing.answer("vpsbg", "balance", body | side)
    workshop.load()
    assert len(workshop.rows("SELECT * FROM staging.balances")) == 1
    rejected = {kind.partition(":")[2] for (kind,) in workshop.rows("SELECT record_kind FROM staging.rejects")}
    assert rejected == set(side)
    assert _readable(workshop, "vpsbg", "vendor_claims") is None


@pytest.mark.faults(23)
def test_usage_without_a_readable_amount_in_any_row_refuses_its_total_too(workshop: Workshop) -> None:
    rows = [{"date": f"2026-03-{day}", "creditsUsed": "12 credits", "calls": 1} for day in (16, 17)]
    workshop.landing.answer("voxpria", "usage", _usage(*rows, total={"creditsUsed": 24}))
    report = workshop.load()
    assert (report.received, report.accepted, report.rejected) == (3, 0, 3)
    assert workshop.rows("SELECT count(*) FROM staging.vendor_claims") == [(0,)]
    assert _readable(workshop, "voxpria", "usage_days") is not None


def test_one_bad_row_is_rejected_alone(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(1), _entry(2, amount="$5"), _entry(3), 4))
    report = workshop.load()
    assert (report.received, report.accepted, report.rejected) == (4, 2, 2)
    assert workshop.rows("SELECT entry_id FROM staging.ledger_entries ORDER BY 1") == [("1",), ("3",)]
    assert workshop.rows(
        "SELECT row_number, column_name, check_name, redacted_value FROM staging.rejects ORDER BY 1"
    ) == [
        (2, "stated_amount", "is_exact_amount", "$5"),
        (4, "data", "is_object", "4"),
    ]
    assert _readable(workshop, "vpsbg", "ledger_entries") is None


def test_a_row_that_breaks_two_rules_is_one_rejected_row(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(1), _entry(2, amount=None, created_at="yesterday")))
    report = workshop.load()
    assert (report.received, report.accepted, report.rejected) == (2, 1, 1)
    assert workshop.rows("SELECT count(*) FROM staging.rejects") == [(2,)]
    assert accounted_for(workshop.connection, "vpsbg", vendor_table("vpsbg", "ledger_entries")).passed


def test_an_alias_is_accepted_and_reported_once(workshop: Workshop) -> None:
    body = {"estimated_funds" if key == "estimated_expenses" else key: value for key, value in _BALANCE.items()}
    for hour in range(3):
        workshop.landing.answer("vpsbg", "balance", body, at=NOW + timedelta(hours=hour))
        workshop.load()
    claims = workshop.rows("SELECT claim_amount FROM staging.vendor_claims WHERE claim = 'estimated_expenses'")
    assert claims == [(Decimal(5),)] * 3
    query = "SELECT column_name, check_name, redacted_value, first_observed_at_utc FROM staging.schema_drift"
    assert workshop.rows(query) == [("estimated_funds", "renamed_field", "estimated_expenses", NOW)]


@pytest.mark.faults(24)
def test_an_unknown_field_is_drift_and_does_no_harm(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "balance", _BALANCE | {"loyalty": {"points": 5}})
    workshop.landing.answer("voxpria", "usage", _usage(total={"creditsUsed": 0}) | {"requestId": "abc"}, account_id="v")
    report = workshop.load()
    assert report.rejected == 0
    assert workshop.rows(
        "SELECT vendor, column_name, check_name, redacted_value FROM staging.schema_drift ORDER BY 1"
    ) == [
        ("voxpria", "requestId", "unknown_field", "abc"),
        ("vpsbg", "loyalty", "unknown_field", '{"points":5}'),
    ]


def test_a_rounded_amount_is_noted_and_is_no_change_of_shape(workshop: Workshop) -> None:
    for credit in ("1.0000000001", "2.0000000001"):
        workshop.landing.answer(
            "hyperstack", "credit", f'{{"status": true, "message": "", "data": {{"credit": {credit}, "threshold": 1}}}}'
        )
    workshop.load()
    assert _drift(workshop) == {("balance_amount", "rounded_amount")}
    queries = Path(report.__file__).parent / "queries"
    assert workshop.rows((queries / "drift_count.sql").read_text()) == [(0,)]
    assert workshop.rows((queries / "drift.sql").read_text()) == []


def test_each_account_has_its_own_drift_though_they_are_read_together(workshop: Workshop) -> None:
    for account_id in ("one", "two"):
        workshop.landing.answer("vpsbg", "balance", _BALANCE | {"loyalty": 5}, account_id=account_id)
    workshop.landing.answer("vpsbg", "balance", {"balance": 1, "currency": "EUR"}, account_id="three")
    workshop.load()
    found = workshop.rows("SELECT account_id, column_name, check_name FROM staging.schema_drift ORDER BY ALL")
    assert found == [
        ("one", "loyalty", "unknown_field"),
        ("three", "balance_limit", "missing_field"),
        ("three", "estimated_expenses", "missing_field"),
        ("three", "shortfall", "missing_field"),
        ("three", "unconfirmed_bitcoin_deposits", "missing_field"),
        ("two", "loyalty", "unknown_field"),
    ]


@pytest.mark.faults(25)
def test_an_unreadable_number_is_null_if_optional_and_otherwise_rejects_its_row(
    workshop: Workshop,
) -> None:
    row = {"date": "2026-03-17", "calls": 1, "creditsUsed": 3}
    workshop.landing.answer(
        "voxpria",
        "usage",
        _usage(
            row | {"cost": "free"},
            row | {"date": "2026-03-16", "cost": "$1"},
            row | {"date": "2026-03-15", "cost": "free"},
            row | {"date": "2026-03-14", "creditsUsed": "three", "cost": "free"},
        ),
    )
    report = workshop.load()
    assert (report.received, report.accepted, report.rejected) == (4, 3, 1)
    assert workshop.rows("SELECT usage_date::VARCHAR, cost_amount FROM staging.usage_days ORDER BY 1") == [
        ("2026-03-15", None), ("2026-03-16", Decimal(1)), ("2026-03-17", None),
    ]  # fmt: skip
    # Once for the account and column; for a rejected row, the reject is enough.
    assert workshop.rows(
        "SELECT row_number, column_name, check_name, redacted_value FROM staging.schema_drift "
        "WHERE check_name = 'unreadable_field'"
    ) == [(1, "cost_amount", "unreadable_field", "free")]


@pytest.mark.faults(20)
def test_a_repeated_row_is_one_row(workshop: Workshop) -> None:
    workshop.landing.answer(
        "vpsbg", "transactions", _page(_entry(1), _entry(1), _entry(2)), run_id="r", is_complete=False
    )
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(2), _entry(3)), run_id="r", page_number=2)
    report = workshop.load()
    assert (report.received, report.accepted) == (5, 5)
    assert workshop.rows("SELECT entry_id FROM staging.ledger_entries ORDER BY 1") == [("1",), ("2",), ("3",)]


@pytest.mark.faults(27)
@pytest.mark.faults(29)
def test_a_restated_day_replaces_the_earlier_value(workshop: Workshop) -> None:
    day = {"date": "2026-03-18", "calls": 1, "creditsUsed": 3}
    workshop.landing.answer("voxpria", "usage", _usage(day))
    workshop.load()
    assert workshop.rows("SELECT credits_amount, is_partial FROM staging.usage_days") == [(Decimal(3), True)]
    workshop.landing.answer("voxpria", "usage", _usage(day | {"creditsUsed": 5}), at=NOW + timedelta(days=1))
    workshop.load()
    assert workshop.rows("SELECT credits_amount, is_partial FROM staging.usage_days") == [(Decimal(5), False)]


@pytest.mark.faults(30)
def test_a_b_a_is_a_at_last_and_three_observations(workshop: Workshop) -> None:
    for hour, amount in enumerate([7, 8, 7]):
        at = NOW + timedelta(hours=hour)
        workshop.landing.answer("vpsbg", "balance", _BALANCE | {"balance": amount}, at=at)
        workshop.landing.answer("vpsbg", "transactions", _page(_entry(1, amount=amount)), at=at)
        workshop.load()
    assert workshop.rows("SELECT stated_amount, fetch_id FROM staging.ledger_entries") == [(Decimal(7), f"{6:016x}")]
    assert workshop.rows("SELECT balance_amount FROM staging.balances ORDER BY observed_at_utc") == [(7,), (8,), (7,)]
    assert workshop.rows("SELECT count(*) FROM staging.fetches") == [(6,)]


@pytest.mark.faults(22)
def test_an_empty_page_after_data_keeps_the_rows_and_is_reported(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(1), _entry(2)), at=NOW - timedelta(days=1))
    workshop.load()
    workshop.landing.answer("vpsbg", "transactions", _page())
    report = workshop.load()
    assert (report.received, report.rejected) == (0, 0)
    assert workshop.rows("SELECT count(*) FROM staging.ledger_entries") == [(2,)]
    assert workshop.rows("SELECT through_date::VARCHAR FROM staging.evidence") == [("2026-03-17",)]
    assert _readable(workshop, "vpsbg", "ledger_entries") == (
        "account main: vpsbg transactions: the listing is empty, though 2 entries are known; they are kept, and later days "
        "are not taken as free of spend"
    )
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(2)), at=_LATER)
    workshop.load()
    assert _readable(workshop, "vpsbg", "ledger_entries") is None


def test_a_new_accounts_empty_ledger_is_days_without_spend(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "transactions", _page())
    workshop.load()
    assert workshop.rows("SELECT basis, through_date::VARCHAR FROM staging.evidence") == [("ledger", "2026-03-18")]
    assert _readable(workshop, "vpsbg", "ledger_entries") is None


@pytest.mark.parametrize(
    "body", ["null", "[]", "{}", '"text"', "5", '{"data": null}', '{"data": "none"}', '{"data": 5}']
)
def test_a_body_without_its_rows_is_rejected_and_nothing_else(workshop: Workshop, body: str) -> None:
    workshop.landing.answer("vpsbg", "transactions", body)
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(1)), account_id="other")
    report = workshop.load()
    assert (report.received, report.accepted, report.rejected) == (2, 1, 1)
    assert workshop.rows("SELECT account_id FROM staging.ledger_entries") == [("other",)]


def test_a_long_value_is_shown_cut_short_and_its_bytes_are_left_in_landing(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "balance", _BALANCE | {"balance": "x" * 5000})
    workshop.load()
    [(shown,)] = workshop.rows("SELECT redacted_value FROM staging.rejects WHERE column_name = 'balance_amount'")
    assert shown == "x" * 80 + "…"


def test_an_unknown_transaction_type_is_other_and_loads(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(1, type="loyalty-bonus", points=5)))
    assert workshop.load().rejected == 0
    query = "SELECT entry_kind, vendor_entry_type, extra_json FROM staging.ledger_entries"
    assert workshop.rows(query) == [("other", "loyalty-bonus", '{"points":5}')]
    assert workshop.rows("SELECT column_name, check_name FROM staging.schema_drift") == [("points", "unknown_field")]


def test_answers_of_a_removed_vendor_or_endpoint_are_kept_and_skipped(workshop: Workshop) -> None:
    workshop.landing.answer("former", "balance", {"balance": 1})
    workshop.landing.answer("vpsbg", "former", {"balance": 1})
    report = workshop.load()
    assert (report.fetches, report.received) == (2, 0)


def test_a_failed_answer_is_a_row_and_nothing_is_read_from_it(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "balance", _BALANCE, outcome="server_error")
    report = workshop.load()
    assert (report.fetches, report.failed_fetches, report.received) == (1, 1, 0)
    assert workshop.rows("SELECT outcome, is_reading, is_complete FROM staging.fetches") == [
        ("server_error", True, False)
    ]


def test_a_body_that_was_damaged_on_disk_stops_the_load_by_name(workshop: Workshop) -> None:
    fetch_id = workshop.landing.answer("vpsbg", "balance", b'{"balance": 1')
    with pytest.raises(ValueError, match=f"landing holds a damaged body: fetch {fetch_id}"):
        workshop.load()
    assert workshop.rows("SELECT count(*) FROM staging.fetches") == [(0,)]
