"""Deepvue's peculiarities."""

from decimal import Decimal

import pytest

from pipeline.http import HttpOutcome
from pipeline.vendors import shipped
from tests.http.conftest import VARIABLE, Lab
from tests.http.fault_server import FaultServer, reply
from tests.vendors.examples import example, read

VENDOR = shipped()["deepvue"]
_WALLET = VENDOR.endpoint("wallet")


def test_the_documented_balance_has_no_unit_and_none_is_guessed() -> None:
    [reading] = read(VENDOR, _WALLET, example("deepvue", "wallet"))
    assert reading.accepted.select("balance_amount", "unit_code", "effective_at_utc").row(0) == (
        Decimal(6448),
        None,
        None,
    )
    assert reading.drift == []
    assert VENDOR.unit_code is None
    assert "unit" in VENDOR.settings


@pytest.mark.parametrize(
    "body",
    [
        b'{"detail": "Invalid client_id or client_secret, access Denied"}',
        b'{"detail": [{"loc": ["header"], "msg": "field required"}]}',
        b'{"current_balance": null, "success": true}',
        b'{"current_balance": "6,448", "success": true}',
    ],
)
def test_an_answer_without_a_plain_balance_is_rejected_and_is_never_zero(body: bytes) -> None:
    [reading] = read(VENDOR, _WALLET, body)
    assert reading.accepted.height == 0
    assert {reject.column_name for reject in reading.rejects} == {"balance_amount"}


@pytest.mark.parametrize("flag", ["false", "0", '"false"', '"FAILED"', '"error"', "null", "[]", '""'])
def test_an_answer_with_its_own_failure_is_no_balance_and_shows_the_vendors_message(flag: str) -> None:
    body = f'{{"current_balance": 0, "success": {flag}, "message": "temporarily unavailable"}}'
    [reading] = read(VENDOR, _WALLET, body.encode())
    assert (reading.received, reading.accepted.height, reading.drift) == ([1], 0, [])
    assert [(each.column_name, each.check_name, each.value) for each in reading.rejects] == [
        ("success", "is_success", "temporarily unavailable")
    ]


@pytest.mark.parametrize("flag", ["true", "1", '"true"', '"Success"', '" OK "'])
def test_a_true_flag_in_another_spelling_is_no_failure(flag: str) -> None:
    [reading] = read(VENDOR, _WALLET, f'{{"current_balance": 5, "success": {flag}}}'.encode())
    assert reading.accepted["balance_amount"].to_list() == [Decimal(5)]


def test_a_missing_flag_is_no_failure() -> None:
    [reading] = read(VENDOR, _WALLET, b'{"current_balance": 5}')
    assert reading.accepted["balance_amount"].to_list() == [Decimal(5)]


def test_a_failure_without_words_shows_the_flag() -> None:
    [reading] = read(VENDOR, _WALLET, b'{"current_balance": 5, "success": false}')
    assert [each.value for each in reading.rejects] == ["false"]


def test_two_secrets_are_needed_and_each_has_its_own_header() -> None:
    assert {header.name: header.setting for header in VENDOR.auth} == {
        "x-api-key": "api_key_env", "client-id": "client_id_env",
    }  # fmt: skip


def test_a_disabled_client_is_an_authorisation_failure_with_what_helps(lab: Lab) -> None:
    with FaultServer(reply(400, b'{"detail": "Inactive client_id"}')) as server:
        answer = lab.get(server, refusals=VENDOR.refusals)
    assert answer.outcome is HttpOutcome.forbidden
    assert answer.reason.endswith(f"have its support enable it, or set another one in {VARIABLE}")


def test_any_other_bad_request_is_a_client_error(lab: Lab) -> None:
    with FaultServer(reply(400, b'{"detail": "Bad Request"}')) as server:
        assert lab.get(server, refusals=VENDOR.refusals).outcome is HttpOutcome.client_error


def test_its_three_limits_hold_together() -> None:
    assert VENDOR.rate_limit.windows == ((1, 1), (30, 60), (1000, 86400))
