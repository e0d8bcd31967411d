"""VPSBG's peculiarities."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.schema.units import MOST_AMOUNT
from pipeline.staging.record_reading import RecordReading
from pipeline.vendors._port import Pages
from pipeline.vendors.vpsbg import VENDOR
from tests.vendors.examples import NOW, example, read

_BALANCE = VENDOR.endpoint("balance")
_TRANSACTIONS = VENDOR.endpoint("transactions")
_ORDERS = VENDOR.endpoint("orders")
_SERVERS = VENDOR.endpoint("servers")


def _balance(**changes: Any) -> list[RecordReading]:
    body = json.loads(example("vpsbg", "balance"), parse_float=str) | changes
    return read(VENDOR, _BALANCE, json.dumps({key: value for key, value in body.items() if value is not ...}).encode())


def _transaction(**changes: Any) -> RecordReading:
    row = {"id": 1, "amount": "-17.99", "created_at": "2024-10-17T21:00:00.000000Z"} | changes
    body = {"data": [row], "links": {"next": None}, "meta": {}}
    [reading] = read(VENDOR, _TRANSACTIONS, json.dumps(body).encode())
    return reading


def _first(reading: RecordReading, column: str) -> Any:
    assert not reading.rejects
    return reading.accepted[column][0]


def _drift(reading: RecordReading) -> set[tuple[str, str]]:
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


def test_estimated_funds_is_accepted_for_estimated_expenses_and_recorded_as_drift() -> None:
    _, expenses, _ = read(VENDOR, _BALANCE, example("vpsbg", "balance"))
    assert _first(expenses, "claim") == "estimated_expenses"
    assert _drift(expenses) == {("estimated_funds", "renamed_field")}


def test_the_documented_name_is_no_drift_and_takes_precedence() -> None:
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


def test_a_claim_covers_the_thirty_days_from_the_answer_on() -> None:
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
        {"amount_with_vat": "1e1"},
        {},
    ]
    balance, _, _ = _balance(unconfirmed_bitcoin_deposits=deposits)
    assert _first(balance, "unconfirmed_amount") == Decimal("10.300000003")


@pytest.mark.parametrize(
    "deposit",
    [
        {"amount": "$5"},
        {"amount": True},
        {"amount": [1]},
        {"amount": "1e-10"},
        {"amount": "1_0"},
        {"amount": -5},
        "5",
        5,
    ],
)
def test_a_pending_deposit_that_cannot_be_read_costs_itself_and_not_the_balance(deposit: object) -> None:
    balance, _, _ = _balance(unconfirmed_bitcoin_deposits=[deposit])
    assert _first(balance, "unconfirmed_amount") is None
    assert _first(balance, "balance_amount") == Decimal("3476.06")
    assert ("unconfirmed_amount", "unreadable_field") in _drift(balance)


@pytest.mark.parametrize("limit", ["unlimited", "", [], True, "1,000", "1000000000000000.000000001", "-9e28"])
def test_a_limit_that_cannot_be_read_costs_itself_and_not_the_balance(limit: object) -> None:
    balance, _, _ = _balance(balance_limit=limit)
    assert (_first(balance, "limit_amount"), _first(balance, "balance_amount")) == (None, Decimal("3476.06"))
    assert ("limit_amount", "unreadable_field") in _drift(balance)


@pytest.mark.parametrize("amount", ["1000000000000000.000000001", "-9e28", 10**16, "-1e15000"])
def test_a_balance_beyond_belief_is_rejected(amount: object) -> None:
    balance, _, _ = _balance(balance=amount)
    assert balance.accepted.height == 0
    assert {each.check_name for each in balance.rejects} <= {"is_plausible_amount", "is_exact_amount"}


def test_the_largest_amount_that_is_believed_is_a_quadrillion() -> None:
    balance, _, _ = _balance(balance="-1000000000000000")
    assert _first(balance, "balance_amount") == -MOST_AMOUNT
    balance, _, _ = _balance(balance="-1000000000000000.000000001")
    assert [each.check_name for each in balance.rejects] == ["is_plausible_amount"]


@pytest.mark.parametrize("currency", ["eur", " EUR ", "Eur\n", "\u00a0EUR"])
def test_a_currency_may_have_blanks_and_small_letters(currency: str) -> None:
    balance, expenses, _ = _balance(currency=currency)
    assert _first(balance, "unit_code") == _first(expenses, "unit_code") == "EUR"


def test_a_currency_that_was_withdrawn_is_still_one() -> None:
    balance, _, _ = _balance(currency="HRK")
    assert _first(balance, "unit_code") == "HRK"


@pytest.mark.parametrize("currency", ["EURO", "", None, 978, "BTC", "E UR", "€"])
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


@pytest.mark.parametrize("stamp", ["2024-10-17T21:00:00", "2024-10-17", 17291988, None, "0001-01-01T00:00:00Z"])
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


def test_an_amount_with_vat_that_cannot_be_read_costs_itself_and_not_the_entry() -> None:
    reading = _transaction(amount_with_vat="n/a")
    assert (_first(reading, "stated_amount"), _first(reading, "gross_amount")) == (Decimal("-17.99"), None)
    assert _drift(reading) == {("gross_amount", "unreadable_field")}


@pytest.mark.parametrize("currency", ["EURO", "", [], 5])
def test_an_entry_in_a_currency_that_cannot_be_read_is_not_one_in_the_accounts(currency: object) -> None:
    assert [each.column_name for each in _transaction(currency=currency).rejects] == ["unit_code"]


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


@pytest.mark.parametrize(("listing", "key"), [("orders", "amount_from_balance"), ("invoices", "order_ids")])
def test_a_row_of_another_listing_is_no_movement_of_the_balance(listing: str, key: str) -> None:
    [reading] = read(VENDOR, _TRANSACTIONS, example("vpsbg", listing))
    assert reading.accepted.height == 0
    assert {(each.column_name, each.check_name) for each in reading.rejects} == {(key, "is_of_this_listing")}
    assert reading.received == reading.rejected_rows() == [2]


# -- orders, invoices, servers ------------------------------------------------------------------------------------


def _row(endpoint: str, number: int = 0, **changes: Any) -> RecordReading:
    row = json.loads(example("vpsbg", endpoint), parse_float=str)["data"][number] | changes
    row = {key: value for key, value in row.items() if value is not ...}
    body = {"data": [row], "links": {"next": None}, "meta": {}}
    [reading] = read(VENDOR, VENDOR.endpoint(endpoint), json.dumps(body).encode())
    return reading


def test_the_documented_orders_are_read_with_their_part_from_the_balance() -> None:
    [reading] = read(VENDOR, _ORDERS, example("vpsbg", "orders"))
    columns = ["order_id", "order_kind", "order_status", "net_amount", "gross_amount", "from_balance_amount"]
    assert reading.accepted.select(columns).rows() == [
        ("7104", "renewal", "settled", Decimal("14.99"), Decimal("17.99"), Decimal("17.99")),
        ("7103", "top_up", "pending", Decimal("41.67"), Decimal(50), Decimal(0)),
    ]
    assert reading.accepted["paid_at_utc"].to_list() == [datetime(2024, 10, 17, 20, 41, 7, tzinfo=UTC), None]
    assert reading.drift == []


def test_every_status_of_an_order_is_requested() -> None:
    assert isinstance(_ORDERS.listing, Pages)
    assert _ORDERS.listing.params["filter[status]"] == "processing,cancelled,paid,awaiting_payment"


def test_an_order_without_a_readable_amount_is_rejected() -> None:
    assert [each.column_name for each in _row("orders", amount_from_balance="n/a").rejects] == ["from_balance_amount"]
    assert _first(_row("orders", amount="n/a"), "net_amount") is None
    assert _first(_row("orders", due_at="soon"), "due_at_utc") is None


@pytest.mark.parametrize(
    ("word", "status"),
    [("processing", "pending"), ("cancelled", "void"), ("paid", "settled"), ("awaiting_payment", "pending")],
)
def test_an_orders_status_is_translated(word: str, status: str) -> None:
    assert _first(_row("orders", status=word), "order_status") == status


def test_an_order_of_an_unknown_type_is_other_and_keeps_its_word() -> None:
    reading = _row("orders", type="new-moon")
    assert (_first(reading, "order_kind"), _first(reading, "vendor_order_type")) == ("other", "new-moon")


def test_the_documented_invoices_name_their_orders() -> None:
    [reading] = read(VENDOR, VENDOR.endpoint("invoices"), example("vpsbg", "invoices"))
    assert reading.accepted.select("invoice_number", "invoice_kind", "gross_amount", "order_ids").rows() == [
        ("0000007104", "original", Decimal("17.99"), "7104,7105"),
        ("0000007103", "proforma", Decimal(50), "7103"),
    ]
    assert reading.drift == []
    assert _first(_row("invoices", order_ids=[]), "order_ids") is None


def test_a_renewal_costs_the_stated_amount_or_else_the_plan_for_its_cycle() -> None:
    [reading] = read(VENDOR, _SERVERS, example("vpsbg", "servers"))
    assert reading.accepted.select("charge_id", "charge_amount", "is_automatic", "description").rows() == [
        ("2801", Decimal("17.97"), True, "web-1.example"),
        ("2802", Decimal("7.99"), True, "web-2.example"),
    ]
    # Midnight in Sofia, at winter time and in the UTC day before.
    assert reading.accepted["due_at_utc"][0] == datetime(2024, 11, 16, 22, tzinfo=UTC)
    assert reading.drift == []


@pytest.mark.parametrize(
    ("price", "months", "amount"),
    [("0.1", 3, "0.3"), ("5.99", 12, "71.88"), (6, 1, "6"), ("999999999999999.999999999", 1, None)],
)
def test_a_plans_price_is_multiplied_exactly(price: object, months: int, amount: str | None) -> None:
    reading = _row("servers", plan={"price_with_vat": price}, billing_cycle=months)
    assert _first(reading, "charge_amount") == Decimal(amount or str(price))


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": {"price_with_vat": "$5"}},
        {"plan": {"price_with_vat": True}},
        {"plan": {"price_with_vat": "-5"}},
        {"plan": {}},
        {"plan": None},
        {"billing_cycle": 0},
        {"billing_cycle": "3"},
        {"billing_cycle": 10**9},
        {"billing_cycle": None},
        {"renew_amount_with_vat": "-1"},
        {"renew_amount_with_vat": "1e1e1"},
    ],
)
def test_a_renewal_that_cannot_be_priced_for_certain_is_rejected_by_name(changes: dict[str, object]) -> None:
    reading = _row("servers", **changes)
    assert {reject.column_name for reject in reading.rejects} == {"charge_amount"}


@pytest.mark.parametrize(
    ("changes", "is_automatic"),
    [
        ({"auto_renew": True}, True),
        ({"auto_renew": 1}, True),
        ({"auto_renew": False}, False),
        ({"auto_renew": True, "cancel_request": {"at": "2024-11-01"}}, False),
        ({"auto_renew": True, "cancel_request": None}, True),
        ({"auto_renew": True, "cancel_request": False}, True),
    ],
)
def test_a_server_renews_automatically_if_enabled_and_not_cancelled(
    changes: dict[str, object], is_automatic: bool
) -> None:
    assert _first(_row("servers", **changes), "is_automatic") is is_automatic


@pytest.mark.parametrize("value", ["yes", 2, [], None, ...])
def test_a_server_that_does_not_say_whether_it_renews_itself_is_rejected(value: object) -> None:
    reading = _row("servers", auto_renew=value)
    assert {reject.column_name for reject in reading.rejects} == {"is_automatic"}
