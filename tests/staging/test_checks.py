"""Dagster's checks really fail when the data they check is broken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from pipeline.models import discovery
from pipeline.schema.render import duplicate_keys
from pipeline.schema.tables import vendor_table
from tests.staging.landed import NOW, NewWorkshop, Workshop
from tests.staging.load_checks import accounted_for, readable
from tests.vendors.examples import example

_LEDGER = vendor_table("vpsbg", "ledger_entries")
_ROWS = [
    {"id": 1, "amount": 5, "created_at": "2026-03-01T10:00:00Z"},
    {"id": 2, "amount": "five", "created_at": "2026-03-02T10:00:00Z"},
    {"id": 3, "amount": 7, "created_at": "2026-03-03T10:00:00Z"},
]


@pytest.fixture(scope="module")
def loaded(new_workshop: NewWorkshop) -> Iterator[Workshop]:
    with new_workshop() as workshop:
        workshop.landing.run({"main": {}, "gpu": {"vendor": "hyperstack"}})
        workshop.landing.answer("vpsbg", "balance", {"balance": 9, "currency": "EUR"})
        workshop.landing.answer("vpsbg", "transactions", {"data": _ROWS, "links": {}, "meta": {}})
        workshop.landing.answer("vpsbg", "orders", example("vpsbg", "orders"))
        workshop.landing.answer("vpsbg", "invoices", example("vpsbg", "invoices"))
        server = {"id": 1, "expiry_at": "2026-04-01T21:00:00Z", "renew_amount_with_vat": 6, "auto_renew": True}
        workshop.landing.answer("vpsbg", "servers", {"data": [server], "links": {}, "meta": {}})
        for name in ("history", "last_day_cost", "payments", "auto_topup", "volume_history"):
            days = (NOW.date(), NOW.date())
            workshop.landing.answer("hyperstack", name, example("hyperstack", name), account_id="gpu", days=days)
        workshop.load()
        workshop.recompute("core", "marts")
        yield workshop


def test_an_untouched_warehouse_matches_its_contract(loaded: Workshop) -> None:
    check = accounted_for(loaded.connection, "vpsbg", _LEDGER)
    assert check.passed
    assert {name: value.value for name, value in check.metadata.items()} == {
        "answers_not_accounted_for": 0, "duplicate_keys": 0, "rows_without_a_load": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tampering", "broken"),
    [
        ("UPDATE staging.loads SET accepted_rows = 3", "answers_not_accounted_for"),
        ("UPDATE staging.loads SET received_rows = 4, rejected_rows = 2 WHERE record_kind = 'ledger_entries'",
         "answers_not_accounted_for"),
        ("DELETE FROM staging.rejects", "answers_not_accounted_for"),
        ("INSERT INTO staging.vpsbg_ledger_entries SELECT * FROM staging.vpsbg_ledger_entries WHERE entry_id = '1'",
         "duplicate_keys"),
        ("DELETE FROM staging.loads", "rows_without_a_load"),
        ("UPDATE staging.vpsbg_ledger_entries SET fetch_id = 'ffff' WHERE entry_id = '3'", "rows_without_a_load"),
    ],
)  # fmt: skip
def test_a_row_that_was_tampered_with_breaksaccounted_for(loaded: Workshop, tampering: str, broken: str) -> None:
    connection = loaded.connection
    connection.execute("BEGIN")
    connection.execute(tampering)
    check = accounted_for(connection, "vpsbg", _LEDGER)
    connection.execute("ROLLBACK")
    assert not check.passed
    assert check.metadata[broken].value > 0


@pytest.mark.parametrize(
    "name", sorted(name for name, model in discovery.discover().items() if not model.table.is_view)
)
def test_a_repeated_key_breaks_a_models_contract(loaded: Workshop, name: str) -> None:
    table = discovery.discover()[name].table
    if loaded.rows(f"SELECT count(*) FROM {name}") == [(0,)]:
        pytest.skip("no row to double")
    loaded.connection.execute("BEGIN")
    loaded.connection.execute(f"INSERT INTO {name} SELECT * FROM {name} LIMIT 1")
    found = loaded.rows(duplicate_keys(table))
    loaded.connection.execute("ROLLBACK")
    assert found == [(1,)]


def test_is_readable_concerns_the_newest_run_only(workshop: Workshop) -> None:
    table = vendor_table("vpsbg", "balances")
    for hour, body in enumerate([{"funds": 1}, {"balance": 1, "currency": "EUR"}, {"funds": 1}]):
        workshop.landing.answer("vpsbg", "balance", body, at=NOW + timedelta(hours=hour))
        workshop.load()
        assert readable(workshop.connection, "vpsbg", table).passed == (hour == 1)


def test_is_readable_names_every_account_that_cannot_be_read(workshop: Workshop) -> None:
    for account_id in ("one", "two", "three"):
        body = {"balance": 1, "currency": "EUR"} if account_id == "two" else {"funds": 1}
        workshop.landing.answer("vpsbg", "balance", body, account_id=account_id)
    workshop.load()
    check = readable(workshop.connection, "vpsbg", vendor_table("vpsbg", "balances"))
    assert check.metadata["unreadable_accounts"].value == ["one", "three"]
