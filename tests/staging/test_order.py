"""Loading gives the same result whatever the order, the batches, the files and the number of times."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.landing import store
from pipeline.landing.compact import compact
from pipeline.landing.store import FX_RATES, OWN, RUNS, Fetch
from pipeline.schema.tables import ALL
from pipeline.staging import gathering
from pipeline.staging.load import load
from tests.staging.landed import NOW, Landing, NewWorkshop, Rows, Workshop, contents, run_record, write

_BALANCE = {"balance_limit": 0, "estimated_expenses": 5, "shortfall": 0, "unconfirmed_bitcoin_deposits": []}


def _history() -> list[Fetch]:
    """Some days of five accounts: restatements, duplicates, rejects, drift, failures, changing settings."""
    landing = Landing(Path("nowhere"))
    made: list[Fetch] = []

    def add(vendor: str, endpoint: str, body: object, hours: int, **more: Any) -> None:
        made.append(landing.fetch(vendor, endpoint, body, at=NOW + timedelta(hours=hours), **more))

    def entry(number: int, amount: object, day: int = 1, **more: Any) -> dict[str, Any]:
        return {"id": number, "amount": amount, "created_at": f"2026-03-{day:02d}T23:30:00+02:00", **more}

    def page(*rows: Any, **more: Any) -> dict[str, Any]:
        return {"data": list(rows), "links": {"next": None}, "meta": {}, **more}

    def usage(*rows: Any, **more: Any) -> dict[str, Any]:
        return {
            "success": True,
            "data": {"usage": list(rows), "total": {"creditsUsed": 9, "calls": 1, "cost": "$1"}},
            **more,
        }

    for hours, team, accounts in [
        (0, "one", ["ledger", "usage"]),
        (24, "two", ["ledger", "usage", "balance", "refused", "gpu"]),
        (48, "two", ["usage", "balance", "refused", "gpu"]),
    ]:
        vendors = {"usage": "voxpria", "gpu": "hyperstack"}
        settings_of = {each: {"vendor": vendors.get(each, "vpsbg"), "team": team} for each in accounts}
        add(OWN, RUNS, run_record(settings_of), hours, account_id="*")
    for hours, rates in [(1, "2026-03-13,1.1,N/A,"), (25, "2026-03-16,1.2,100,\n2026-03-13,1.15,0.00000000001,")]:
        add(OWN, FX_RATES, f"Date,USD,INR,\n{rates}\n", hours, account_id="*")
    for hours, amount in [(1, 100), (2, 90), (3, 90), (25, "80.5"), (26, "eighty"), (27, 70)]:
        for account_id in ("ledger", "balance"):
            body = _BALANCE | {"balance": amount, "currency": "EUR"}
            if hours == 25:
                body |= {"loyalty": hours}
            if hours == 27:
                del body["estimated_expenses"]
                body["estimated_funds"] = 7
            add("vpsbg", "balance", body, hours, account_id=account_id)
    add("vpsbg", "balance", b"", 28, account_id="ledger", outcome="timeout")
    # Two answers of the same instant: the later fetch wins.
    add("vpsbg", "balance", _BALANCE | {"balance": 71, "currency": "EUR"}, 27, account_id="ledger")
    for hours, rows in [
        (1, [entry(1, -10), entry(2, "-0.000000001", 2)]),
        (3, [entry(2, "-0.000000001", 2, type="renewal"), entry(3, -5, 3, points=1), entry(3, -6, 3)]),
        (25, [entry(1, "ten"), entry(4, 50, 4, type="deposit"), 5]),
        (26, []),
        (27, [entry(1, -10, type="fee"), entry(5, "1e400", 5), entry(6, 1, 6, created_at="yesterday")]),
    ]:
        run_id = f"ledger-{hours}"
        half = len(rows) // 2
        add(
            "vpsbg",
            "transactions",
            page(*rows[:half], draft=hours),
            hours,
            account_id="ledger",
            run_id=run_id,
            is_complete=False,
        )
        add("vpsbg", "transactions", page(*rows[half:]), hours, account_id="ledger", run_id=run_id, page_number=2)
    for hours, credits, cost in [(1, 5, "$0.5"), (24, 6, "$0.6"), (25, "six", "free"), (26, 7, 0.7), (27, 6, "$0.6")]:
        day = {"date": "2026-03-18", "calls": 2, "creditsUsed": credits, "cost": cost}
        extra = {"requestId": hours} if hours > 24 else {}
        add("voxpria", "usage", usage(day, day | {"date": "2026-03-17"}, **extra), hours, account_id="usage",
            days=(date(2026, 3, 17), (NOW + timedelta(hours=hours)).date()))  # fmt: skip
        add(
            "voxpria",
            "credits",
            {"success": True, "data": {"balance": 100 - hours, "currency": "credits"}},
            hours,
            account_id="usage",
        )
    for hours, credit in [(1, 5.25), (2, 1e-11), (3, 1e-12), (4, 5)]:
        add(
            "hyperstack",
            "credit",
            {"status": True, "message": "", "data": {"credit": credit, "threshold": 1e-10}},
            hours,
            account_id="gpu",
        )
    _add_listings(add, page)
    return made


def _add_listings(add: Callable[..., None], page: Callable[..., dict[str, Any]]) -> None:
    """Orders without a ledger, servers that come and go, billed days, payments."""

    def order(number: int, paid_on: int | None, **more: Any) -> dict[str, Any]:
        return {
            "id": number, "type": "renew-service", "status": "paid" if paid_on else "awaiting_payment",
            "amount": 5, "amount_with_vat": 6, "amount_from_balance": 6 if paid_on else 0,
            "created_at": "2026-03-01T09:00:00Z", "due_at": "2026-03-20T22:00:00Z",
            "payment_date": f"2026-03-{paid_on:02d}T23:30:00Z" if paid_on else None, **more,
        }  # fmt: skip

    def server(number: int, due_on: int, **more: Any) -> dict[str, Any]:
        return {
            "id": number, "hostname": f"web-{number}", "expiry_at": f"2026-03-{due_on}T22:00:00Z", "auto_renew": True,
            "renew_amount_with_vat": 6, **more,
        }  # fmt: skip

    for hours, orders, servers in [
        (1, [order(1, 2, type="deposit"), order(2, None)], [server(1, 25), server(2, 28)]),
        (25, [order(2, 18), order(1, 3, type="deposit"), order(3, 4, amount_with_vat="six")], [server(1, 26)]),
        (26, [order(2, 18, discount=1)], [server(2, 29), server(3, 30, auto_renew=None)]),
    ]:
        add("vpsbg", "transactions", b"", hours, account_id="refused", outcome="forbidden")
        add("vpsbg", "orders", page(*orders), hours, account_id="refused")
        add("vpsbg", "orders", page(*orders), hours, account_id="ledger")
        add("vpsbg", "servers", page(*servers), hours, account_id="refused", is_complete=hours < 26)
        invoices = [{"id": each["id"], "invoice_number": f"no. {hours}", "created_at": each["created_at"],
                     "amount_with_vat": 6, "order_ids": [each["id"]]} for each in orders]  # fmt: skip
        add("vpsbg", "invoices", page(*invoices), hours, account_id="refused")
    for hours, bill in [(1, 2.5), (24, 3.25), (25, "1e-11"), (26, "n/a")]:
        day = (NOW + timedelta(hours=hours)).date()
        for back in (0, 1):
            window = (day - timedelta(days=back), day - timedelta(days=back))
            row = {"attributes": {"id": "1"}, "metrics": {"incurred_bill": bill}}
            history = {"status": True, "message": "", "billing_history": {"billing_history": [row][: 2 - back]}}
            more = {"account_id": "gpu", "run_id": f"gpu-{hours}", "days": window, "page_number": 2 - back}
            add("hyperstack", "history", history, hours, **more)
            volumes = {"billing_history": [row], "pagination": {"pages": 1}}
            add("hyperstack", "volume_history", {"billing_history_volume": volumes}, hours, **more)
        payment = {"payment_id": "p", "amount": 50, "currency": "USD", "created_at": "2026-03-01T09:00:00",
                   "updated_at": f"2026-03-18T{hours % 24:02d}:00:00",
                   "status": "pending" if hours == 1 else "completed"}  # fmt: skip
        add("hyperstack", "payments", {"data": [payment]}, hours, account_id="gpu")
        add("hyperstack", "last_day_cost", {"data": {"total_cost": bill}}, hours, account_id="gpu")
        topup = {"status": "active" if hours == 24 else None, "threshold_amount": 5, "topup_amount": hours}
        add("hyperstack", "auto_topup", topup, hours, account_id="gpu")


_HISTORY = _history()


def _all(workshop: Workshop) -> Rows:
    """Staged rows, and everything that follows from them."""
    workshop.recompute("core")
    return contents(workshop.connection, "staging", "core")


@pytest.fixture(scope="module")
def reference(new_workshop: NewWorkshop) -> Iterator[Rows]:
    """Everything landed first and loaded at once."""
    with new_workshop() as workshop:
        write(_HISTORY, workshop.home.landing)
        report = workshop.load()
        assert report.fetches == len(_HISTORY)
        assert report.received == report.accepted + report.rejected
        yield _all(workshop)


def test_a_random_history_contains_its_intended_cases(reference: Rows) -> None:
    checks = {row[6] for row in reference["staging.schema_drift"]}
    assert {"unknown_field", "renamed_field", "missing_field", "rounded_amount", "unreadable_in_every_row"} <= checks
    assert {row[7] for row in reference["staging.rejects"]} >= {"is_exact_amount", "is_object", "answer_is_readable"}
    assert [row[:3] for row in reference["staging.accounts"]] == [
        ("balance", "vpsbg", True), ("gpu", "hyperstack", True), ("ledger", "vpsbg", False),
        ("refused", "vpsbg", True), ("usage", "voxpria", True),
    ]  # fmt: skip
    assert {row[0] for row in reference["core.spend_daily"]} == {"balance", "gpu", "ledger", "refused", "usage"}
    for table in ("known_charges", "orders", "invoices", "payments", "auto_topups", "resource_days"):
        assert reference[f"core.{table}"], table
    sources = ALL["core.ledger_entries"].column_names.index("entry_source")
    assert {(row[0], row[sources]) for row in reference["core.ledger_entries"]} == {
        ("ledger", "ledger"), ("refused", "orders"), ("gpu", "payments"),
    }  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_any_order_and_any_batches_give_the_same_tables(
    new_workshop: NewWorkshop, reference: Rows, data: st.DataObject
) -> None:
    runs: dict[tuple[str, str, str], list[Fetch]] = {}
    for fetch in _HISTORY:
        runs.setdefault((fetch.vendor, fetch.endpoint, fetch.run_id), []).append(fetch)
    # A run's answers of one endpoint land in one file, so they arrive together.
    files = data.draw(st.permutations(list(runs.values())))
    cuts = data.draw(st.lists(st.integers(0, len(files)), max_size=3).map(sorted))
    size = data.draw(st.sampled_from([4000, 32 * 1024 * 1024]))
    with new_workshop() as workshop, patch.object(gathering, "_BATCH_BYTES", size):
        for first, last in zip([0, *cuts], [*cuts, len(files)], strict=True):
            for fetches in files[first:last]:
                write(fetches, workshop.home.landing)
            workshop.load()
        assert _all(workshop) == reference


@pytest.mark.faults(32)
def test_loading_again_changes_nothing(workshop: Workshop, reference: Rows) -> None:
    write(_HISTORY, workshop.home.landing)
    workshop.load()
    before = contents(workshop.connection, "staging")
    assert workshop.load().fetches == 0
    # Even if the folders must be read again.
    workshop.connection.execute("DELETE FROM staging.landing_folders")
    assert workshop.load().fetches == 0
    assert contents(workshop.connection, "staging") == before
    assert _all(workshop) == reference


def test_a_load_that_was_rolled_back_is_loaded_again_whole(workshop: Workshop, reference: Rows) -> None:
    write(_HISTORY, workshop.home.landing)
    with (
        pytest.raises(RuntimeError, match="a kill"),
        workshop.warehouse.transaction() as connection,
    ):
        load(connection, workshop.home.landing)
        raise RuntimeError("a kill")
    assert workshop.rows("SELECT count(*) FROM staging.fetches") == [(0,)]
    workshop.load()
    assert _all(workshop) == reference


def test_a_rebuild_from_compacted_landing_is_equal_row_for_row(workshop: Workshop, reference: Rows) -> None:
    write(_HISTORY, workshop.home.landing)
    done = compact(workshop.home.landing, date(2026, 4, 1))
    assert done.files_after < done.files_before
    workshop.load()
    assert _all(workshop) == reference


def test_compaction_between_two_loads_loads_nothing_twice(workshop: Workshop, reference: Rows) -> None:
    half = len(_HISTORY) // 2
    write(_HISTORY[:half], workshop.home.landing)
    workshop.load()
    compact(workshop.home.landing, date(2026, 4, 1))
    assert workshop.load().fetches == 0
    write(_HISTORY[half:], workshop.home.landing)
    assert workshop.load().fetches == len(_HISTORY) - half
    assert _all(workshop) == reference


@pytest.mark.faults(31)
def test_files_left_next_to_their_merged_file_change_nothing(workshop: Workshop, reference: Rows) -> None:
    write(_HISTORY, workshop.home.landing)
    aside = workshop.path / "aside"
    shutil.copytree(workshop.home.landing, aside)
    compact(workshop.home.landing, date(2026, 4, 1))
    # The merged file has its name, and the others still exist.
    shutil.copytree(aside, workshop.home.landing, dirs_exist_ok=True)
    paths = list(store.iterate(workshop.home.landing))
    assert sum(store.read(path, ["fetch_id"]).num_rows for path in paths) > len(_HISTORY)
    assert workshop.load().fetches == len(_HISTORY)
    assert _all(workshop) == reference
    # The next compaction cleans up.
    compact(workshop.home.landing, date(2026, 4, 1))
    paths = list(store.iterate(workshop.home.landing))
    assert sum(store.read(path, ["fetch_id"]).num_rows for path in paths) == len(_HISTORY)
    assert workshop.load().fetches == 0


@pytest.mark.faults(35)
def test_a_file_that_turns_up_in_an_old_folder_is_found(workshop: Workshop, reference: Rows) -> None:
    late = [fetch for fetch in _HISTORY if fetch.fetched_at_utc.date() == NOW.date()]
    write([fetch for fetch in _HISTORY if fetch not in late], workshop.home.landing)
    workshop.load()
    workshop.recompute("core")
    write(late, workshop.home.landing)
    assert workshop.load().fetches == len(late)
    assert _all(workshop) == reference
