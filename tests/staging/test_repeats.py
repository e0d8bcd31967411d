"""Several rows of one answer with one key: added up if they are parts, one if they agree, and otherwise none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.schema.tables import vendor_table
from pipeline.vendors import discover
from tests.staging.landed import NewWorkshop, Workshop
from tests.staging.load_checks import accounted_for

_DAY = "2026-03-17"


def _usage(*rows: Any) -> dict[str, Any]:
    return {"success": True, "data": {"usage": list(rows), "total": None}}


def _part(credits: Any, calls: Any = 1, cost: Any = "$1", day: str = _DAY) -> dict[str, Any]:
    return {"date": day, "calls": calls, "creditsUsed": credits, "cost": cost}


def _page(*rows: Any) -> dict[str, Any]:
    return {"data": list(rows), "links": {"next": None}, "meta": {}}


def _entry(number: int, amount: Any = -1, **more: Any) -> dict[str, Any]:
    return {"id": number, "amount": amount, "created_at": "2026-03-01T10:00:00Z", "type": "usage"} | more


def _counts(workshop: Workshop, vendor: str, kind: str) -> tuple[int, int, int]:
    """Received, accepted, rejected; and they match what is stored."""
    check = accounted_for(workshop.connection, vendor, vendor_table(vendor, kind))
    assert check.passed, check.metadata
    [counts] = workshop.rows(
        f"SELECT sum(received_rows), sum(accepted_rows), sum(rejected_rows) FROM staging.loads "
        f"WHERE record_kind = '{kind}'"
    )
    return counts


def _rejects(workshop: Workshop) -> list[tuple[Any, ...]]:
    return workshop.rows("SELECT row_number, column_name, check_name, redacted_value FROM staging.rejects ORDER BY ALL")


def test_two_campaigns_of_a_day_add_up_to_it(workshop: Workshop) -> None:
    workshop.landing.answer("voxpria", "usage", _usage(
        _part("0.000000001", 2, "$0.10"), _part(7, 1, "$3", "2026-03-16"), _part("12.5", 3, "$0.20"),
    ))  # fmt: skip
    workshop.load()
    query = "SELECT usage_date::VARCHAR, usage_quantity, credits_amount, cost_amount FROM staging.usage_days ORDER BY 1"
    assert workshop.rows(query) == [
        ("2026-03-16", 1, Decimal(7), Decimal(3)),
        (_DAY, 5, Decimal("12.500000001"), Decimal("0.3")),
    ]
    statements = "SELECT credits_amount FROM staging.usage_statements ORDER BY usage_date"
    assert workshop.rows(statements) == [(Decimal(7),), (Decimal("12.500000001"),)]
    assert _counts(workshop, "voxpria", "usage_days") == (3, 3, 0)


def test_equal_parts_are_still_parts(workshop: Workshop) -> None:
    workshop.landing.answer("voxpria", "usage", _usage(_part(5), _part(5)))
    workshop.load()
    assert workshop.rows("SELECT credits_amount FROM staging.usage_days") == [(Decimal(10),)]


def test_a_sum_of_which_a_part_is_absent_or_unreadable_is_not_known(workshop: Workshop) -> None:
    workshop.landing.answer("voxpria", "usage", _usage(_part(5, None, "$1"), _part(5, 2, "free")))
    workshop.load()
    query = "SELECT usage_quantity, credits_amount, cost_amount FROM staging.usage_days"
    assert workshop.rows(query) == [(None, Decimal(10), None)]


def test_a_day_of_which_a_part_was_rejected_is_rejected_whole(workshop: Workshop) -> None:
    workshop.landing.answer("voxpria", "usage", _usage(_part(5), _part("five"), _part(1, day="2026-03-16"), _part(2)))
    workshop.load()
    assert workshop.rows("SELECT usage_date::VARCHAR FROM staging.usage_days") == [("2026-03-16",)]
    assert _rejects(workshop) == [
        (1, "usage_date", "has_all_parts", _DAY),
        (2, "credits_amount", "is_exact_amount", "five"),
        (4, "usage_date", "has_all_parts", _DAY),
    ]
    assert _counts(workshop, "voxpria", "usage_days") == (4, 1, 3)
    # Something was stated for that day, so it does not count as free.
    statements = "SELECT usage_date::VARCHAR, credits_amount FROM staging.usage_statements ORDER BY usage_date"
    assert workshop.rows(statements) == [("2026-03-16", Decimal(1)), (_DAY, None)]


def test_an_answer_that_is_refused_whole_states_nothing_of_any_day(workshop: Workshop) -> None:
    workshop.landing.answer("voxpria", "usage", _usage(_part("five"), _part("one", day="2026-03-16")))
    workshop.load()
    assert workshop.rows("SELECT * FROM staging.usage_statements") == []


def test_parts_that_add_up_beyond_belief_are_rejected(workshop: Workshop) -> None:
    workshop.landing.answer("voxpria", "usage", _usage(_part(10**15), _part(1)))
    workshop.load()
    assert [each[2] for each in _rejects(workshop)] == ["is_plausible_amount"] * 2
    assert _counts(workshop, "voxpria", "usage_days") == (2, 0, 2)


def test_a_restated_day_replaces_the_parts_that_were_added_up(workshop: Workshop) -> None:
    workshop.landing.answer("voxpria", "usage", _usage(_part(5), _part(6)))
    workshop.landing.answer("voxpria", "usage", _usage(_part(12)))
    workshop.load()
    assert workshop.rows("SELECT credits_amount FROM staging.usage_days") == [(Decimal(12),)]


@pytest.mark.parametrize(
    "other", [{"amount": -2}, {"created_at": "2026-03-02T10:00:00Z"}, {"status": "void"}, {"x": 1}]
)
def test_two_entries_with_an_id_that_differ_are_both_rejected(workshop: Workshop, other: dict[str, Any]) -> None:
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(7), _entry(8), _entry(7) | other))
    workshop.load()
    assert workshop.rows("SELECT entry_id FROM staging.ledger_entries") == [("8",)]
    assert _rejects(workshop) == [(1, "entry_id", "is_unique", "7"), (3, "entry_id", "is_unique", "7")]
    assert _counts(workshop, "vpsbg", "ledger_entries") == (3, 1, 2)


def test_an_entry_whose_double_cannot_be_read_is_rejected_with_it(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(7), _entry(7, "one"), _entry(8)))
    workshop.load()
    assert workshop.rows("SELECT entry_id FROM staging.ledger_entries") == [("8",)]
    assert [each[2] for each in _rejects(workshop)] == ["is_unique", "is_exact_amount"]


def test_a_repetition_is_one_entry_and_counts_as_accepted(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(7), _entry(7), _entry(7)))
    workshop.load()
    assert workshop.rows("SELECT entry_id FROM staging.ledger_entries") == [("7",)]
    assert _counts(workshop, "vpsbg", "ledger_entries") == (3, 3, 0)


def test_an_entry_on_two_pages_is_that_of_the_newer_answer(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(7, -1)), run_id="r", is_complete=False)
    workshop.landing.answer("vpsbg", "transactions", _page(_entry(7, -2)), run_id="r", page_number=2)
    workshop.load()
    assert workshop.rows("SELECT stated_amount FROM staging.ledger_entries") == [(Decimal(-2),)]
    assert _rejects(workshop) == []


def test_two_balances_in_one_answer_are_none(workshop: Workshop) -> None:
    body = [{"balance": 1, "currency": "EUR"}, {"balance": 2, "currency": "USD"}]
    workshop.landing.answer("vpsbg", "balance", body)
    workshop.load()
    assert workshop.rows("SELECT count(*) FROM staging.balances") == [(0,)]


def test_a_time_with_two_amounts_in_a_file_is_no_reading(workshop: Workshop) -> None:
    rows = ["2026-03-01,10,EUR", "2026-03-02,9,EUR", "2026-03-02T00:00:00Z,8,EUR", "2026-03-01,10,eur"]
    workshop.landing.answer("manual", "readings", "\n".join(["observed_at_utc,balance_amount,unit_code", *rows]))
    workshop.load()
    assert workshop.rows("SELECT balance_amount FROM staging.balances") == [(Decimal(10),)]
    assert [each[:3] for each in _rejects(workshop)] == [
        (2, "observed_at_utc", "is_unique"),
        (3, "observed_at_utc", "is_unique"),
    ]
    assert _counts(workshop, "manual", "balances") == (4, 2, 2)


def test_only_what_may_be_divided_adds_up() -> None:
    adding = {
        (vendor.name, records.kind)
        for vendor in discover().values()
        for endpoint in vendor.endpoints
        for records in endpoint.records
        if records.parts_add_up
    }
    assert adding == {
        ("voxpria", "usage_days"),
        # What all resources cost a minute, and what a model's adapters cost in a day.
        ("hyperstack", "vendor_claims"),
        ("hyperstack", "resource_days"),
    }


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(["1", "-0.000000001", "33.333333333", "x"])),
        min_size=1,
        max_size=9,
    )
)
def test_days_are_the_sums_of_their_rows_and_entries_are_unanimous(
    new_workshop: NewWorkshop, rows: list[tuple[int, str]]
) -> None:
    with new_workshop() as workshop:
        days = [_part(amount, day=f"2026-03-{day:02d}") for day, amount in rows]
        workshop.landing.answer("voxpria", "usage", _usage(*days), account_id="voice")
        workshop.landing.answer("vpsbg", "transactions", _page(*(_entry(*row) for row in rows)), account_id="shop")
        workshop.load()
        said = {key: [amount for number, amount in rows if number == key] for key, _ in rows}
        whole = {key: amounts for key, amounts in said.items() if "x" not in amounts}
        found = workshop.rows("SELECT day(usage_date), credits_amount FROM staging.usage_days")
        assert dict(found) == {key: sum(map(Decimal, amounts)) for key, amounts in whole.items()}
        found = workshop.rows("SELECT CAST(entry_id AS BIGINT), stated_amount FROM staging.ledger_entries")
        assert dict(found) == {key: Decimal(amounts[0]) for key, amounts in whole.items() if len(set(amounts)) == 1}
        for vendor, kind in [("voxpria", "usage_days"), ("vpsbg", "ledger_entries")]:
            received, accepted, rejected = _counts(workshop, vendor, kind)
            assert received == accepted + rejected == len(rows)
