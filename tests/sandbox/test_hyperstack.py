from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from pipeline.sandbox.world.hyperstack_world import Resource
from tests.sandbox_faults import Sandbox

Get = Callable[..., httpx.Response]
Exact = Callable[[httpx.Response], Any]


def test_hyperstacks_credit_is_payments_less_bills(get: Get, exact: Exact) -> None:
    data = exact(get("hyperstack-main", "/billing/user-credit/credit"))["data"]
    window = {"start_date": "2025-02-11T00:00:00", "end_date": "2026-03-18T13:37:00"}
    history = exact(get("hyperstack-main", "/billing/billing/history", **window))["billing_history"]
    (row,) = history["billing_history"]
    payments = exact(get("hyperstack-main", "/billing/payment/payment-details"))["data"]
    paid = sum(payment["amount"] for payment in payments if payment["status"] == "completed")
    assert data["credit"] == paid - row["metrics"]["incurred_bill"] > data["threshold"] == 20
    assert {payment["status"] for payment in payments} == {"completed", "pending", "failed"}


def test_hyperstacks_windows_are_half_open_and_add_up(get: Get, exact: Exact) -> None:
    def bill(start: str, end: str) -> Decimal:
        body = exact(get("hyperstack-main", "/billing/billing/history", start_date=start, end_date=end))
        return Decimal(body["billing_history"]["billing_history"][0]["metrics"]["incurred_bill"])

    whole = bill("2026-03-01T00:00:00", "2026-03-04T00:00:00")
    days = [bill(f"2026-03-0{day}T00:00:00", f"2026-03-0{day + 1}T00:00:00") for day in (1, 2, 3)]
    assert sum(days) == whole
    yesterday = exact(get("hyperstack-main", "/billing/billing/last-day-cost"))["data"]["total_cost"]
    assert yesterday == bill("2026-03-17T00:00:00", "2026-03-18T00:00:00")


def test_hyperstacks_components_do_not_add_up_to_the_bill(get: Get, exact: Exact) -> None:
    window = {"start_date": "2026-01-01T00:00:00", "end_date": "2026-02-01T00:00:00"}
    base = "/billing/billing/history"
    metrics = exact(get("hyperstack-main", base, **window))["billing_history"]["billing_history"][0]["metrics"]
    components = sum(metrics[name] for name in ("vm_cost", "volume_cost", "snapshot_cost", "contract_cost"))
    cluster = exact(get("hyperstack-main", f"{base}/cluster", **window))["billing_history_cluster"]
    bucket = exact(get("hyperstack-main", f"{base}/bucket", **window))["billing_history_bucket"]
    rows = [*cluster["billing_history"], *bucket["billing_history"]]
    assert metrics["incurred_bill"] - components == sum(row["metrics"]["incurred_bill"] for row in rows) > 0
    assert metrics["non_discounted_bill"] >= metrics["incurred_bill"]


def test_hyperstacks_history_of_machines_is_paged(get: Get, exact: Exact) -> None:
    window = {"start_date": "2025-12-01T00:00:00", "end_date": "2026-03-01T00:00:00"}
    path = "/billing/billing/history/virtual-machine"
    first = exact(get("hyperstack-main", path, **window))["billing_history_vm"]
    assert first["pagination"]["per_page"] == 10
    rows = []
    for page in range(1, first["pagination"]["pages"] + 1):
        rows += exact(get("hyperstack-main", path, **window, page=page))["billing_history_vm"]["billing_history"]
    assert len({row["attributes"]["id"] for row in rows}) == len(rows) == first["total_count"] > 10
    month = exact(get("hyperstack-main", "/billing/billing/history", **window))["billing_history"]
    assert sum(row["metrics"]["incurred_bill"] for row in rows) == month["billing_history"][0]["metrics"]["vm_cost"]


def test_a_hyperstack_cost_can_be_tiny_and_a_success_say_false(get: Get) -> None:
    window = {"start_date": "2026-03-16T00:00:00", "end_date": "2026-03-17T00:00:00"}
    response = get("hyperstack-main", "/billing/billing/history/bucket", **window)
    assert b'"incurred_bill":1.47991176e-11' in response.content
    assert response.json()["status"] is False


def test_hyperstacks_usage_distinguishes_active_from_ended(get: Get, exact: Exact) -> None:
    active = exact(get("hyperstack-main", "/billing/billing/usage"))["data"]
    ended = exact(get("hyperstack-main", "/billing/billing/usage", deleted="true"))["data"]
    assert all(row["active"] and row["terminate_time"] is None and row["bill_per_minute"] for row in active)
    assert all(not row["active"] and row["terminate_time"] and row["bill_per_minute"] is None for row in ended)
    assert all(row["total_bill"] == row["total_up_time"] * row["bill_per_minute"] for row in active)
    assert exact(get("hyperstack-main", "/billing/billing/usage", environment="elsewhere"))["data"] == []


def test_hyperstack_refuses_a_date_with_an_offset(get: Get) -> None:
    response = get("hyperstack-main", "/billing/billing/history", start_date="2026-03-01T00:00:00Z")
    assert (response.status_code, response.json()["error_reason"]) == (400, "bad_request")


def test_a_hyperstack_account_is_cut_off_while_its_credit_is_below_the_threshold(get: Get, sandbox: Sandbox) -> None:
    account = sandbox.world.accounts["hyperstack-main"]
    threshold = account.threshold
    assert get("hyperstack-main", "/billing/user-credit/credit").json()["data"]["can_create_instance"] is True
    account.threshold = account.balance_at(sandbox.now) + 1
    try:
        assert get("hyperstack-main", "/billing/user-credit/credit").json()["data"]["can_create_instance"] is False
    finally:
        account.threshold = threshold


def test_hyperstacks_cluster_lists_its_nodes_as_parts_of_its_own_bill(get: Get, exact: Exact) -> None:
    window = {"start_date": "2026-01-01T00:00:00", "end_date": "2026-02-01T00:00:00"}
    path = "/billing/billing/history/cluster"
    [row] = exact(get("hyperstack-main", path, **window))["billing_history_cluster"]["billing_history"]
    assert len({node["attributes"]["id"] for node in row["nodes"]} | {row["attributes"]["id"]}) == 3
    assert sum(node["metrics"]["incurred_bill"] for node in row["nodes"]) == row["metrics"]["incurred_bill"] > 0


@pytest.mark.parametrize(
    ("kind", "flag", "key"),
    [
        ("serverless_inference", "success", "billing_history_serverless_inference"),
        ("fine_tuning", "success", "billing_history_fine_tuning"),
        ("model_evaluation", "success", "billing_history_serverless_inference"),
        ("data_synthesis", "success", "billing_history_serverless_inference"),
        ("image_generation", "success", "billing_history_serverless_inference"),
        ("contract", "status", "billing_history_contract"),
    ],
)
def test_hyperstacks_other_histories_have_their_own_envelopes(
    get: Get, exact: Exact, sandbox: Sandbox, kind: str, flag: str, key: str
) -> None:
    account = sandbox.world.accounts["hyperstack-main"]
    window = {"start_date": "2026-03-01T00:00:00", "end_date": "2026-03-02T00:00:00"}
    path = f"/billing/billing/history/{kind}"
    assert exact(get("hyperstack-main", path, **window))[key]["billing_history"] == []
    price = Decimal("0.01")
    started_at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    before = account.resources
    account.resources = (*before, Resource(99, "u", kind, "extra", price, price, started_at, None))
    try:
        body = exact(get("hyperstack-main", path, **window))
    finally:
        account.resources = before
    assert body[flag] is True
    [row] = body[key]["billing_history"]
    assert (row["attributes"]["infrahub_id"], row["metrics"]["incurred_bill"]) == (99, Decimal("7.2"))
