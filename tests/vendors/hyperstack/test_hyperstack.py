"""Hyperstack's quirks, each where it would bite."""

import json
from decimal import Decimal

import pytest

from pipeline.staging.read import Reading
from pipeline.vendors.hyperstack import VENDOR
from tests.vendors.examples import example, read

_CREDIT = VENDOR.endpoint("credit")


def _credit(text: str, *, status: str = "true") -> Reading:
    body = f'{{"status": {status}, "message": "ok", "data": {{"credit": {text}, "threshold": 20}}}}'
    [reading] = read(VENDOR, _CREDIT, body.encode())
    return reading


def test_the_documented_credit_is_in_dollars_with_its_threshold() -> None:
    [reading] = read(VENDOR, _CREDIT, example("hyperstack", "credit"))
    assert reading.accepted.select("balance_amount", "threshold_amount", "unit_code").row(0) == (
        Decimal("103.85"), Decimal(20), "USD",
    )  # fmt: skip
    assert reading.drift == []


@pytest.mark.parametrize(
    ("stated", "amount"),
    [
        ("103.8500000005", "103.850000000"),  # half to even
        ("103.8500000015", "103.850000002"),
        ("1.48e-11", "0"),
        ("-1.48e-11", "0"),
        ("-0.00000000051", "-0.000000001"),
        ("99.99999999999999", "100"),
        ("1e-999", "0"),
    ],
)
def test_digits_beyond_nine_decimals_are_rounded_counted_and_kept(stated: str, amount: str) -> None:
    reading = _credit(stated)
    assert reading.accepted["balance_amount"][0] == Decimal(amount)
    assert json.loads(reading.accepted["extra_json"][0], parse_float=str) == {"credit": stated}
    assert [(each.column_name, each.check_name, each.value) for each in reading.drift] == [
        ("balance_amount", "rounded_amount", "1")
    ]


def test_an_amount_that_fits_is_not_touched() -> None:
    reading = _credit("103.850000001")
    assert reading.accepted["balance_amount"][0] == Decimal("103.850000001")
    assert reading.accepted["extra_json"][0] is None
    assert reading.drift == []


@pytest.mark.parametrize("text", ["1e29", "1e999999", "1" * 30, '"$5"', '"1,000"', "true", "[]"])
def test_an_amount_that_no_rounding_makes_fit_is_rejected(text: str) -> None:
    assert [reject.check_name for reject in _credit(text).rejects] == ["is_exact_amount"]


def test_a_status_of_false_beside_data_is_no_failure() -> None:
    assert _credit("5", status="false").accepted.height == 1


def test_a_negative_credit_is_legal() -> None:
    assert _credit("-0.01").accepted["balance_amount"][0] == Decimal("-0.01")


def test_an_absent_threshold_is_null_and_drift() -> None:
    [reading] = read(VENDOR, _CREDIT, b'{"status": true, "message": "ok", "data": {"credit": 5}}')
    assert reading.accepted["threshold_amount"][0] is None
    assert [(each.column_name, each.check_name) for each in reading.drift] == [("threshold", "missing_field")]


def test_an_error_dressed_as_success_is_no_balance() -> None:
    [reading] = read(VENDOR, _CREDIT, b'{"status": false, "message": "Unauthorized", "error_reason": "unauthorized"}')
    assert [reject.column_name for reject in reading.rejects] == ["data"]
    assert reading.accepted.height == 0
