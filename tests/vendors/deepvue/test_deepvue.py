"""Deepvue's quirks, each where it would bite."""

from decimal import Decimal

import pytest

from pipeline.vendors.deepvue import VENDOR
from tests.vendors.examples import example, read

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
        b'{"success": false}',
        b'{"current_balance": null, "success": true}',
        b'{"current_balance": "6,448", "success": true}',
    ],
)
def test_an_answer_without_a_plain_balance_is_rejected_and_is_never_zero(body: bytes) -> None:
    [reading] = read(VENDOR, _WALLET, body)
    assert reading.accepted.height == 0
    assert {reject.column_name for reject in reading.rejects} == {"balance_amount"}


def test_two_secrets_are_needed_and_each_has_its_own_header() -> None:
    assert {header.name: header.setting for header in VENDOR.auth} == {
        "x-api-key": "api_key_env", "client-id": "client_id_env",
    }  # fmt: skip
