"""Hyperstack's peculiarities."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from pipeline.staging.record_reading import RecordReading
from pipeline.vendors.hyperstack import VENDOR
from tests.vendors.examples import example, read

_CREDIT = VENDOR.endpoint("credit")


def _credit(text: str, *, status: str = "true") -> RecordReading:
    body = f'{{"status": {status}, "message": "ok", "data": {{"credit": {text}, "threshold": 20}}}}'
    [reading] = read(VENDOR, _CREDIT, body.encode())
    return reading


def test_the_documented_credit_is_in_dollars_with_its_threshold() -> None:
    [reading] = read(VENDOR, _CREDIT, example("hyperstack", "credit"))
    assert reading.accepted.select("balance_amount", "threshold_amount", "is_cut_off", "unit_code").row(0) == (
        Decimal("103.85"), Decimal(20), False, "USD",
    )  # fmt: skip
    assert reading.drift == []


@pytest.mark.parametrize(
    ("stated", "is_cut_off"),
    [
        ("false", True),
        ('"False"', True),
        ("true", False),
        ("null", None),
        ('"no"', None),
        ("0", None),
        ("[]", None),
        ('{"why": "x"}', None),
    ],
)
def test_an_account_is_cut_off_only_where_the_vendor_says_so_and_the_balance_is_read_anyway(
    stated: str, is_cut_off: bool | None
) -> None:
    reading = _credit(f'5, "can_create_instance": {stated}')
    assert reading.accepted.select("balance_amount", "is_cut_off").rows() == [(Decimal(5), is_cut_off)]
    assert reading.rejects == []


def test_a_credit_that_does_not_say_whether_it_is_cut_off_is_no_drift() -> None:
    reading = _credit("5")
    assert reading.accepted["is_cut_off"].to_list() == [None]
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


# -- billed days, payments, automatic top-ups ---------------------------------------------------------------------


def _data(endpoint: str, payload: object) -> RecordReading:
    [reading] = read(VENDOR, VENDOR.endpoint(endpoint), json.dumps(payload).encode())
    return reading


def _history(*rows: object) -> RecordReading:
    return _data("history", {"status": True, "message": "", "billing_history": {"billing_history": list(rows)}})


def test_a_billed_day_is_the_windows_and_only_the_bill_is_usage() -> None:
    [reading] = read(VENDOR, VENDOR.endpoint("history"), example("hyperstack", "history"))
    columns = ["usage_date", "credits_amount", "cost_amount", "cost_unit_code", "is_partial"]
    # The tests' window begins with this day.
    assert reading.accepted.select(columns).row(0) == (
        date(2026, 3, 1), Decimal("12.34"), Decimal("12.34"), "USD", False,
    )  # fmt: skip
    assert json.loads(reading.accepted["extra_json"][0])["metrics"]["vm_cost"] == "11.0"
    assert reading.drift == []


def test_a_window_without_a_row_is_a_day_without_usage_and_no_fault() -> None:
    reading = _history()
    assert (reading.received, reading.rejects) == ([0], [])


@pytest.mark.parametrize("metrics", [{}, None, {"incurred_bill": None}, {"incurred_bill": "free"}])
def test_a_bill_that_cannot_be_read_is_not_a_day_without_usage(metrics: object) -> None:
    reading = _history({"attributes": {"id": "1"}, "metrics": metrics})
    assert {reject.column_name for reject in reading.rejects} >= {"credits_amount"}
    assert reading.rejected_rows() == [1]


def test_the_last_days_cost_covers_the_day_before_the_answer() -> None:
    [reading] = read(VENDOR, VENDOR.endpoint("last_day_cost"), example("hyperstack", "last_day_cost"))
    columns = ["claim", "claim_amount", "covers_from_date", "covers_to_date"]
    assert reading.accepted.select(columns).row(0) == (
        "last_day_cost", Decimal("12.34"), date(2026, 3, 17), date(2026, 3, 17),
    )  # fmt: skip


def test_a_payment_is_credited_without_its_tax_and_at_its_last_change() -> None:
    [reading] = read(VENDOR, VENDOR.endpoint("payments"), example("hyperstack", "payments"))
    columns = ["payment_id", "payment_amount", "payment_tax_amount", "unit_code", "payment_status", "paid_at_utc"]
    assert reading.accepted.select(columns).rows() == [
        ("pay_5c1c6a9a1a2b", Decimal(300), Decimal(60), "USD", "settled", datetime(2024, 7, 29, 15, 55, 2, tzinfo=UTC)),
        ("pay_bank_transfer", Decimal(250), Decimal(50), "USD", "pending", datetime(2024, 7, 28, 9, tzinfo=UTC)),
    ]
    assert reading.drift == []


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Completed", "settled"),
        ("failed", "void"),
        ("refunded", "unknown"),
        ("in_review", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_payment_is_only_credit_with_an_unambiguous_status(word: str | None, status: str) -> None:
    row = {"payment_id": "p", "amount": 5, "status": word, "created_at": "2024-07-29T15:51:28"}
    assert _data("payments", {"data": [row]}).accepted["payment_status"][0] == status


@pytest.mark.parametrize(
    ("status", "is_on"), [("active", True), ("ENABLED", True), ("inactive", False), ("paused", False), (None, False)]
)
def test_top_ups_are_automatic_only_with_a_positive_status(status: str | None, is_on: bool) -> None:
    amount = 100 if is_on else None
    reading = _data("auto_topup", {"status": status, "threshold_amount": amount, "topup_amount": amount})
    assert reading.rejects == []
    assert reading.accepted.select("is_on", "auto_topup_status").row(0) == (is_on, status)


def test_a_resources_day_is_the_windows_and_its_bill_may_be_next_to_nothing() -> None:
    [reading] = read(VENDOR, VENDOR.endpoint("bucket_history"), example("hyperstack", "bucket_history"))
    columns = ["usage_date", "resource_kind", "resource_name", "resource_amount", "extra_json"]
    assert reading.accepted.select(columns).row(0) == (
        date(2026, 3, 1), "bucket", "a-bucket", Decimal(0), '{"metrics.incurred_bill":"1.48e-11"}',
    )  # fmt: skip


def test_a_clusters_nodes_are_parts_of_its_bill_and_not_counted_beside_it() -> None:
    def row(name: str, bill: float) -> dict[str, object]:
        return {"attributes": {"id": name, "resource_name": name}, "metrics": {"incurred_bill": bill}}

    cluster = {**row("cluster", 6), "nodes": [row("node-1", 2), row("node-2", 4)]}
    body = {"status": True, "message": "", "billing_history_cluster": {"billing_history": [cluster]}}
    reading = _data("cluster_history", body)
    assert reading.accepted.select("resource_kind", "resource_id", "resource_amount").rows() == [
        ("cluster", "cluster", Decimal(6))
    ]
    assert (reading.rejects, reading.drift) == ([], [])


_BY_TOKENS = ("serverless_inference", "fine_tuning", "model_evaluation", "data_synthesis", "image_generation")


@pytest.mark.parametrize("kind", _BY_TOKENS)
def test_a_day_of_work_on_models_is_known_by_the_vendors_number_of_the_model(kind: str) -> None:
    [reading] = read(VENDOR, VENDOR.endpoint(f"{kind}_history"), example("hyperstack", f"{kind}_history"))
    columns = ["usage_date", "resource_kind", "resource_id", "resource_name", "resource_amount", "unit_code"]
    assert reading.accepted.select(columns).rows() == [
        (date(2026, 3, 1), kind, "512", "a-model", Decimal("0.42"), "USD")
    ]
    assert (reading.rejects, reading.drift) == ([], [])
    endpoint = VENDOR.endpoint(f"{kind}_history")
    assert endpoint.envelope[0] == "success"
    assert (endpoint.is_optional, endpoint.is_extra, endpoint.refresh) == (True, True, "daily")


def test_several_adapters_of_one_model_add_up() -> None:
    rows = [
        {"attributes": {"infrahub_id": 5, "lora_adapter": name}, "metrics": {"incurred_bill": bill}}
        for name, bill in (("a", 1.25), ("b", 2))
    ]
    history = {"billing_history_serverless_inference": {"billing_history": rows}}
    reading = _data("serverless_inference_history", history)
    assert reading.accepted.select("resource_id", "resource_amount").rows() == [("5", Decimal("3.25"))]


def test_a_contract_is_read_as_its_siblings_are() -> None:
    [reading] = read(VENDOR, VENDOR.endpoint("contract_history"), example("hyperstack", "contract_history"))
    columns = ["resource_kind", "resource_id", "resource_name", "resource_amount"]
    assert reading.accepted.select(columns).rows() == [("contract", "77", "A reservation", Decimal("21.6"))]
    assert (reading.rejects, reading.drift) == ([], [])


def test_contracts_in_another_envelope_are_drift_and_no_error() -> None:
    reading = _data("contract_history", {"status": True, "message": "", "contracts": [{"incurred_bill": 1}]})
    assert (reading.accepted.height, reading.rejects) == (0, [])
    assert ("contracts", "unknown_field") in {(each.column_name, each.check_name) for each in reading.drift}


def _usage(*rows: dict[str, object]) -> tuple[RecordReading, RecordReading]:
    body = {"status": True, "message": "", "data": list(rows)}
    rates, burn = read(VENDOR, VENDOR.endpoint("usage"), json.dumps(body).encode())
    return rates, burn


def test_the_documented_prices_are_read_for_each_resource_and_together_for_a_day() -> None:
    rates, burn = read(VENDOR, VENDOR.endpoint("usage"), example("hyperstack", "usage"))
    columns = ["vendor_resource_type", "resource_id", "resource_kind", "minute_amount", "is_active", "is_excluded"]
    assert rates.accepted.select(columns).rows() == [
        ("vm", "8401", "machine", Decimal("0.0315"), True, False),
        ("volume", "8402", "volume", Decimal("0.00021"), True, False),
        ("gift", "8403", "other", None, True, True),
    ]
    claims = ["claim", "claim_amount", "unit_code", "covers_from_date", "covers_to_date"]
    # (0.0315 + 0.00021) * 1440
    assert burn.accepted.select(claims).rows() == [
        ("burn_now", Decimal("45.6624"), "USD", date(2026, 3, 18), date(2026, 3, 18))
    ]
    assert rates.rejects + burn.rejects + rates.drift + burn.drift == []


@pytest.mark.parametrize(
    ("row", "a_day"),
    [
        ({"bill_per_minute": 0.5}, 720),
        ({"bill_per_minute": "0.5", "active": True, "exclude_billing": False}, 720),
        ({"bill_per_minute": None, "active": True}, 0),
        ({"active": True}, 0),
        ({"bill_per_minute": 0.5, "active": False}, 0),
        ({"bill_per_minute": 0.5, "exclude_billing": True}, 0),
        ({"bill_per_minute": 1.4e-14}, 0),
    ],
)
def test_only_a_resource_that_is_billed_and_has_a_price_burns(row: dict[str, object], a_day: int) -> None:
    _, burn = _usage({"resource_id": 1, "resource_type": "vm", **row})
    assert burn.accepted["claim_amount"].to_list() == [Decimal(a_day)]
    assert burn.rejects == []


@pytest.mark.parametrize("price", ["free", "$1", True, [1], {"amount": 1}, "NaN", "1e400"])
def test_a_price_that_cannot_be_read_makes_the_burn_unknown_and_not_smaller(price: object) -> None:
    good = {"resource_id": 1, "resource_type": "vm", "bill_per_minute": 0.5, "active": True}
    rates, burn = _usage(good, {**good, "resource_id": 2, "bill_per_minute": price})
    assert burn.accepted.height == 0
    assert burn.rejects
    assert rates.accepted["minute_amount"].to_list() == [Decimal("0.5"), None]


def test_no_resources_are_no_rates_and_no_fault() -> None:
    rates, burn = _usage()
    assert (rates.received, rates.rejects, burn.received, burn.rejects) == ([0], [], [0], [])
