"""Voxpria's peculiarities."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.http import HttpOutcome
from pipeline.staging.record_reading import RecordReading
from pipeline.vendors import shipped
from tests.http.conftest import VARIABLE, Lab
from tests.http.fault_server import FaultServer, reply
from tests.vendors.examples import example, read

VENDOR = shipped()["voxpria"]
_CREDITS = VENDOR.endpoint("credits")
_USAGE = VENDOR.endpoint("usage")


def _usage(*rows: dict[str, Any], total: object = None) -> list[RecordReading]:
    body = {"success": True, "data": {"usage": list(rows), "total": total}}
    return read(VENDOR, _USAGE, json.dumps(body).encode())


def _credits(**changes: Any) -> list[RecordReading]:
    data = {"balance": 5, "currency": "credits", "lastUpdated": "2026-03-18T10:00:00Z"} | changes
    return read(VENDOR, _CREDITS, json.dumps({"success": True, "data": data}).encode())


def test_the_documented_balance_is_in_credits_and_states_its_own_time() -> None:
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


@pytest.mark.parametrize(
    "cost", ["€13.50", "$13,50", "$1,23.50", "13.50 USD", "$", "", "$ 5", "free", "$12.5e1", [1], "$1000000000000001"]
)
def test_a_cost_that_could_mean_two_things_costs_itself_and_not_the_day(cost: object) -> None:
    usage, _ = _usage({"date": "2026-03-17", "calls": 2, "creditsUsed": 1, "cost": cost})
    assert usage.accepted.select("usage_quantity", "credits_amount", "cost_amount").rows() == [(2, Decimal(1), None)]
    assert usage.rejects == []
    assert [(each.column_name, each.check_name) for each in usage.drift] == [("cost_amount", "unreadable_field")]


@pytest.mark.parametrize("calls", ["many", "1e400", 10**16, True, [2]])
def test_calls_that_are_no_number_cost_themselves_and_not_the_day(calls: object) -> None:
    usage, _ = _usage({"date": "2026-03-17", "calls": calls, "creditsUsed": 1, "cost": "$1"})
    assert usage.accepted.select("usage_quantity", "credits_amount", "cost_amount").rows() == [
        (None, Decimal(1), Decimal(1))
    ]
    assert [(each.column_name, each.check_name) for each in usage.drift] == [("usage_quantity", "unreadable_field")]


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


def test_credits_given_back_are_usage_below_zero() -> None:
    usage, total = _usage({"date": "2026-03-17", "calls": 0, "creditsUsed": "-12.5"}, total={"creditsUsed": "-12.5"})
    assert usage.accepted["credits_amount"].to_list() == [Decimal("-12.5")]
    assert total.accepted["claim_amount"].to_list() == [Decimal("-12.5")]
    assert (usage.rejects, total.rejects) == ([], [])


def test_an_answer_with_its_own_failure_has_neither_days_nor_a_total() -> None:
    body = {
        "success": "false",
        "error": {"code": 503},
        "data": {"usage": [{"date": "2026-03-17", "creditsUsed": 0}], "total": {"creditsUsed": 0}},
    }
    usage, total = read(VENDOR, VENDOR.endpoint("usage"), json.dumps(body).encode())
    for reading in (usage, total):
        assert (reading.received, reading.accepted_rows(), reading.rejected_rows()) == ([1], [0], [1])
        assert [(each.check_name, each.value) for each in reading.rejects] == [("is_success", '{"code":503}')]


def test_a_failure_without_days_is_a_rejected_row_and_never_no_usage() -> None:
    usage, total = read(VENDOR, VENDOR.endpoint("usage"), b'{"success": false, "data": {"usage": []}}')
    assert (usage.received, usage.rejected_rows()) == ([1], [1])
    assert (total.received, total.rejects) == ([0], [])


@pytest.mark.parametrize("updated", [1773828000, "1773828000", 1773828000000, "2026-03-18T10:00:00Z"])
def test_the_time_of_a_balance_may_be_in_seconds_or_milliseconds_since_1970(updated: object) -> None:
    [reading] = _credits(lastUpdated=updated)
    assert reading.accepted["effective_at_utc"].to_list() == [datetime(2026, 3, 18, 10, tzinfo=UTC)]
    assert reading.drift == []


@pytest.mark.parametrize("updated", ["now", 17738280, "2026-03-18T10:00:00", {}, True, 99999999999999])
def test_a_time_that_cannot_be_read_costs_itself_and_not_the_balance(updated: object) -> None:
    [reading] = _credits(lastUpdated=updated)
    assert reading.accepted.select("balance_amount", "effective_at_utc").rows() == [(Decimal(5), None)]
    assert [(each.column_name, each.check_name) for each in reading.drift] == [("effective_at_utc", "unreadable_field")]


def test_a_currency_may_have_blanks_and_capitals_and_any_other_word_is_no_credit() -> None:
    [reading] = _credits(currency=" Credits ")
    assert reading.accepted["unit_code"].to_list() == ["voxpria-credit"]
    [reading] = _credits(currency="tokens")
    assert [(each.column_name, each.check_name) for each in reading.rejects] == [("unit_code", "is_known_word")]


def test_a_total_without_its_amount_is_no_claim_and_one_that_is_no_object_is_rejected() -> None:
    _, total = _usage(total=None)
    assert (total.received, total.rejects) == ([0], [])
    _, total = _usage(total={"calls": 5})
    assert (total.received, total.rejects) == ([0], [])
    _, total = _usage(total="a lot")
    assert [reject.check_name for reject in total.rejects] == ["is_present"]


@pytest.mark.parametrize(
    ("status", "outcome", "words"),
    [
        (401, HttpOutcome.unauthorised, ("has not been revoked",)),
        (403, HttpOutcome.forbidden, ("scope `credits`", "IP allow-list", "public address")),
    ],
)
def test_a_refused_key_comes_with_the_vendors_own_remedy(
    lab: Lab, status: int, outcome: HttpOutcome, words: tuple[str, ...]
) -> None:
    with FaultServer(reply(status, b'{"success": false, "error": "nothing of this"}')) as server:
        answer = lab.get(server, refusals=VENDOR.refusals)
    assert answer.outcome is outcome
    assert VARIABLE in answer.reason
    assert all(each in answer.reason for each in words)
    assert "nothing of this" not in answer.reason
