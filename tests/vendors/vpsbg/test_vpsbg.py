"""VPSBG's quirks, each where it would bite."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.staging.read import Reading
from pipeline.vendors.vpsbg import VENDOR
from tests.vendors.examples import NOW, example, read

_BALANCE = VENDOR.endpoint("balance")
_TRANSACTIONS = VENDOR.endpoint("transactions")


def _balance(**changes: Any) -> list[Reading]:
    body = json.loads(example("vpsbg", "balance"), parse_float=str) | changes
    return read(VENDOR, _BALANCE, json.dumps({key: value for key, value in body.items() if value is not ...}).encode())


def _transaction(**changes: Any) -> Reading:
    row = {"id": 1, "amount": "-17.99", "created_at": "2024-10-17T21:00:00.000000Z"} | changes
    body = {"data": [row], "links": {"next": None}, "meta": {}}
    [reading] = read(VENDOR, _TRANSACTIONS, json.dumps(body).encode())
    return reading


def _first(reading: Reading, column: str) -> Any:
    assert not reading.rejects
    return reading.accepted[column][0]


def _drift(reading: Reading) -> set[tuple[str, str]]:
    return {(each.column_name, each.check_name) for each in reading.drift}


def test_the_documented_balance_is_read_with_its_pending_deposit() -> None:
    balance, expenses, shortfall = read(VENDOR, _BALANCE, example("vpsbg", "balance"))
    assert balance.accepted.select("balance_amount", "unit_code", "limit_amount", "unconfirmed_amount").row(0) == (
        Decimal("3476.06"), "EUR", None, Decimal("69.62"),
    )  # fmt: skip
    # Required by the schema, absent from its own example.
    assert _drift(balance) == {("balance_limit", "missing_field")}
    assert _first(expenses, "claim_amount") == 30
    assert _first(shortfall, "claim_amount") == 0


def test_estimated_funds_is_accepted_for_estimated_expenses_and_told_as_drift() -> None:
    _, expenses, _ = read(VENDOR, _BALANCE, example("vpsbg", "balance"))
    assert _first(expenses, "claim") == "estimated_expenses"
    assert _drift(expenses) == {("estimated_funds", "renamed_field")}


def test_the_documented_name_is_no_drift_and_goes_before_the_other() -> None:
    _, expenses, _ = _balance(estimated_expenses=31, estimated_funds=...)
    assert _first(expenses, "claim_amount") == 31
    assert _drift(expenses) == set()
    _, expenses, _ = _balance(estimated_expenses=31)
    assert _first(expenses, "claim_amount") == 31


def test_a_claim_that_is_gone_is_drift_and_does_not_touch_the_balance() -> None:
    balance, expenses, shortfall = _balance(estimated_funds=..., shortfall=None)
    assert _first(balance, "balance_amount") == Decimal("3476.06")
    assert (expenses.received, shortfall.received) == ([0], [0])
    assert _drift(expenses) == {("estimated_expenses", "missing_field")}


def test_a_claim_speaks_of_the_thirty_days_from_the_answer_on() -> None:
    _, expenses, _ = _balance()
    assert _first(expenses, "covers_from_date") == NOW.date()
    assert _first(expenses, "covers_to_date") == date(2026, 4, 16)


def test_a_new_account_without_a_deposit_is_read() -> None:
    balance, _, _ = _balance(last_deposit=None, unconfirmed_bitcoin_deposits=[])
    assert _first(balance, "unconfirmed_amount") is None


def test_pending_deposits_add_up_with_vat_where_it_is_stated() -> None:
    deposits = [
        {"amount_with_vat": "0.10", "amount": 1},
        {"amount_with_vat": 0.2},
        {"amount": "0.000000003", "amount_with_vat": None},
        {},
    ]
    balance, _, _ = _balance(unconfirmed_bitcoin_deposits=deposits)
    assert _first(balance, "unconfirmed_amount") == Decimal("0.300000003")


@pytest.mark.parametrize(
    "deposit",
    [{"amount": "$5"}, {"amount": True}, {"amount": [1]}, {"amount": "1e1"}, {"amount": "1_0"}, {"amount": -5}, "5", 5],
)
def test_a_pending_deposit_that_cannot_be_read_is_rejected_by_name(deposit: object) -> None:
    balance, _, _ = _balance(unconfirmed_bitcoin_deposits=[deposit])
    assert {reject.column_name for reject in balance.rejects} == {"unconfirmed_amount"}
    assert balance.accepted.height == 0


@pytest.mark.parametrize("currency", ["eur", "EURO", "", None, 978, "BTC"])
def test_a_balance_in_no_known_currency_is_rejected(currency: object) -> None:
    balance, _, _ = _balance(currency=currency)
    assert {reject.column_name for reject in balance.rejects} == {"unit_code"}


def test_money_may_come_as_a_string_and_a_balance_may_be_negative() -> None:
    balance, _, _ = _balance(balance="-12.50")
    assert _first(balance, "balance_amount") == Decimal("-12.50")


def test_the_documented_ledger_is_read_with_signs_as_stated() -> None:
    [reading] = read(VENDOR, _TRANSACTIONS, example("vpsbg", "transactions"))
    assert reading.accepted.select("entry_id", "stated_amount", "entry_kind", "entry_status").rows() == [
        ("90412", Decimal("-17.99"), "renewal", "settled"),
        ("90377", Decimal("50.00"), "top_up", "settled"),
    ]
    assert reading.drift == []


def test_a_sofia_midnight_stays_in_the_utc_day_before() -> None:
    assert _first(_transaction(), "effective_at_utc") == datetime(2024, 10, 17, 21, tzinfo=UTC)


@pytest.mark.parametrize("stamp", ["2024-10-17T21:00:00", "2024-10-17", 1729198800, None, "0001-01-01T00:00:00Z"])
def test_a_time_without_an_offset_or_sense_is_rejected(stamp: object) -> None:
    reading = _transaction(created_at=stamp)
    assert {reject.column_name for reject in reading.rejects} == {"effective_at_utc"}


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Deposit", "top_up"),
        ("RENEW-SERVICE", "renewal"),
        ("refund", "refund"),
        ("loyalty-bonus", "other"),
        (None, "other"),
    ],
)
def test_an_unknown_type_becomes_other_and_keeps_its_word(word: str | None, kind: str) -> None:
    reading = _transaction(type=word)
    assert _first(reading, "entry_kind") == kind
    assert _first(reading, "vendor_entry_type") == word


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("paid", "settled"),
        ("awaiting_payment", "pending"),
        ("Cancelled", "void"),
        ("frozen", "unknown"),
        (None, "settled"),
    ],
)
def test_a_status_is_translated_and_an_unknown_one_is_unknown(word: str | None, status: str) -> None:
    assert _first(_transaction(status=word), "entry_status") == status


def test_amounts_with_vat_are_as_stated_and_never_recomputed() -> None:
    reading = _transaction(amount="-10.01", amount_with_vat="-12.00")
    assert _first(reading, "gross_amount") == Decimal("-12.00")
    assert _first(reading, "net_amount") is None


def test_fields_without_a_column_are_kept_as_json() -> None:
    reading = _transaction(payment={"method": "card"}, balance_after=123.4500)
    assert json.loads(_first(reading, "extra_json"), parse_float=str) == {
        "balance_after": "123.45", "payment": {"method": "card"},
    }  # fmt: skip


@pytest.mark.parametrize("missing", ["id", "amount", "created_at"])
def test_a_row_without_what_makes_it_an_entry_is_rejected(missing: str) -> None:
    reading = _transaction(**{missing: None})
    assert [reject.check_name for reject in reading.rejects] == ["is_present"]
