"""Voxpria's quirks, each where it would bite."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.staging.read import Reading
from pipeline.vendors.voxpria import VENDOR
from tests.vendors.examples import example, read

_CREDITS = VENDOR.endpoint("credits")
_USAGE = VENDOR.endpoint("usage")


def _usage(*rows: dict[str, Any], total: object = None) -> list[Reading]:
    body = {"success": True, "data": {"usage": list(rows), "total": total}}
    return read(VENDOR, _USAGE, json.dumps(body).encode())


def test_the_documented_balance_is_in_credits_and_tells_its_own_time() -> None:
    [reading] = read(VENDOR, _CREDITS, example("voxpria", "credits"))
    assert reading.accepted.select("balance_amount", "unit_code", "effective_at_utc").row(0) == (
        Decimal(1500), "voxpria-credit", datetime(2025, 2, 9, 12, tzinfo=UTC),
    )  # fmt: skip
    assert reading.drift == []


@pytest.mark.parametrize("word", ["USD", "minutes", ""])
def test_a_balance_in_anything_but_credits_is_rejected_and_not_guessed(word: str) -> None:
    [reading] = read(VENDOR, _CREDITS, json.dumps({"success": True, "data": {"balance": 1, "currency": word}}).encode())
    assert [(reject.column_name, reject.check_name) for reject in reading.rejects] == [("unit_code", "is_known_word")]


def test_the_documented_usage_is_read_by_day_with_its_total_as_a_claim() -> None:
    usage, total = read(VENDOR, _USAGE, example("voxpria", "usage"))
    columns = ["usage_date", "usage_quantity", "usage_unit", "credits_amount", "cost_amount", "cost_unit_code"]
    assert usage.accepted.select(columns).rows() == [
        (date(2025, 2, 9), 45.0, "calls", Decimal(135), Decimal("13.50"), "USD"),
        (date(2025, 2, 8), 38.0, "calls", Decimal(114), Decimal("11.40"), "USD"),
    ]
    claims = total.accepted.select("claim", "claim_amount", "unit_code", "covers_from_date", "covers_to_date")
    assert claims.row(0) == ("usage_total", Decimal(249), "voxpria-credit", date(2026, 3, 1), date(2026, 3, 18))


@pytest.mark.parametrize(
    ("cost", "amount"),
    [
        ("$13.50", "13.50"),
        ("$1,234.50", "1234.50"),
        ("1234.5", "1234.5"),
        (13.5, "13.5"),
        ("-$2.00", "-2.00"),
        (0, "0"),
    ],
)
def test_a_cost_is_read_with_or_without_its_dollar(cost: object, amount: str) -> None:
    usage, _ = _usage({"date": "2026-03-17", "creditsUsed": 1, "cost": cost})
    assert usage.rejects == []
    assert usage.accepted["cost_amount"][0] == Decimal(amount)


@pytest.mark.parametrize("cost", ["€13.50", "$13,50", "$1,23.50", "13.50 USD", "$", "", "$ 5", "free", "$12.5e1", [1]])
def test_a_cost_that_could_mean_two_things_rejects_the_row(cost: object) -> None:
    usage, _ = _usage({"date": "2026-03-17", "creditsUsed": 1, "cost": cost})
    assert [(reject.column_name, reject.check_name) for reject in usage.rejects] == [("cost_amount", "is_exact_amount")]


@pytest.mark.parametrize("credits", ["$13.50", "1,234.50", "12 credits", True, {}])
def test_credits_are_plain_numbers_and_nothing_else(credits: object) -> None:
    usage, _ = _usage({"date": "2026-03-17", "creditsUsed": credits})
    assert [(reject.column_name, reject.check_name) for reject in usage.rejects] == [
        ("credits_amount", "is_exact_amount")
    ]


def test_a_day_is_partial_until_it_is_over() -> None:
    usage, _ = _usage({"date": "2026-03-18", "creditsUsed": 1}, {"date": "2026-03-17", "creditsUsed": 1})
    assert usage.accepted["is_partial"].to_list() == [True, False]


@pytest.mark.parametrize("day", ["2026-02-29", "2026-3-1", "18.03.2026", "2026-03-18T00:00:00Z", 20260318, None])
def test_a_day_that_is_none_is_rejected(day: object) -> None:
    usage, _ = _usage({"date": day, "creditsUsed": 1})
    assert {reject.column_name for reject in usage.rejects} == {"usage_date"}


def test_negative_usage_breaks_the_contract() -> None:
    usage, _ = _usage({"date": "2026-03-17", "creditsUsed": -1})
    assert [(reject.column_name, reject.check_name) for reject in usage.rejects] == [
        ("credits_amount", "is_at_least_minimum")
    ]


def test_a_total_without_its_amount_is_no_claim_and_one_that_is_no_object_is_rejected() -> None:
    _, total = _usage(total=None)
    assert (total.received, total.rejects) == ([0], [])
    _, total = _usage(total={"calls": 5})
    assert (total.received, total.rejects) == ([0], [])
    _, total = _usage(total="a lot")
    assert [reject.check_name for reject in total.rejects] == ["is_present"]
