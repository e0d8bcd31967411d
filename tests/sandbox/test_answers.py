import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from pipeline.sandbox.encoding import encode, number_text
from tests.sandbox_faults import Sandbox, start

NOW = datetime(2026, 3, 18, 13, 37, tzinfo=UTC)

Get = Callable[..., httpx.Response]
Exact = Callable[[httpx.Response], Any]

VPSBG_PATHS = ["/balance", "/balance/transactions", "/orders", "/invoices", "/servers"]
HYPERSTACK_PATHS = [
    "/billing/user-credit/credit",
    "/billing/billing/last-day-cost",
    "/billing/billing/usage",
    "/billing/billing/history",
    *(f"/billing/billing/history/{kind}" for kind in ("virtual-machine", "volume", "snapshot", "cluster", "bucket")),
    *(f"/billing/billing/history/{kind}" for kind in ("serverless_inference", "fine_tuning", "contract")),
    *(f"/billing/billing/history/{kind}" for kind in ("model_evaluation", "data_synthesis", "image_generation")),
    "/billing/payment/payment-details",
    "/billing/auto-topup/status",
]
EVERYTHING = [
    *((account, path) for account in ("vpsbg-main", "vpsbg-agency", "vpsbg-idle") for path in VPSBG_PATHS),
    *(("hyperstack-main", path) for path in HYPERSTACK_PATHS),
    *(
        (account, path)
        for account in ("voxpria-main", "voxpria-campaign")
        for path in ("/api/v1/credits", "/api/v1/credits/usage")
    ),
    *((account, "/v1/internal/wallet-balance") for account in ("deepvue-main", "deepvue-new")),
]


@pytest.mark.parametrize(("account", "path"), EVERYTHING)
def test_an_answer_depends_on_the_clock_alone(
    get: Get, exact: Exact, sandbox: Sandbox, account: str, path: str
) -> None:
    first = exact(get(account, path))
    sandbox.move_clock(NOW + timedelta(days=40))
    later = get(account, path).content
    sandbox.move_clock(NOW)
    assert exact(get(account, path)) == first
    sandbox.move_clock(NOW + timedelta(days=10))
    sandbox.move_clock(NOW + timedelta(days=40))
    assert get(account, path).content == later


@pytest.mark.parametrize("vendor", ["vpsbg", "hyperstack", "voxpria", "deepvue"])
def test_an_unknown_path_and_another_method_get_the_vendors_own_errors(
    sandbox: Sandbox, client: httpx.Client, headers_of: Callable[[str], dict[str, str]], vendor: str
) -> None:
    first_path = {account.split("-")[0]: path for account, path in reversed(EVERYTHING)}[vendor]
    field = {"vpsbg": "message", "hyperstack": "error_reason", "voxpria": "error", "deepvue": "detail"}[vendor]
    base, headers = sandbox.base_url(vendor), headers_of(f"{vendor}-main")
    missing = client.get(f"{base}/nowhere", headers=headers)
    refused = client.post(base + first_path, headers=headers)
    assert (missing.status_code, refused.status_code) == (404, 405)
    assert field in missing.json()
    assert field in refused.json()


@pytest.mark.parametrize(
    ("vendor", "headers", "status", "body"),
    [
        ("vpsbg", {}, 401, {"message": "Unauthenticated."}),
        ("vpsbg", {"Authorization": "Bearer wrong"}, 401, {"message": "Unauthenticated."}),
        ("vpsbg", {"Authorization": "Basic KEY"}, 401, {"message": "Unauthenticated."}),
        ("vpsbg", {"api_key": "KEY"}, 401, {"message": "Unauthenticated."}),
        (
            "hyperstack",
            {"api_key": "wrong"},
            401,
            {"status": False, "message": "API Key authentication failed", "error_reason": "unauthorized"},
        ),
        ("voxpria", {"Authorization": "Bearer wrong"}, 401, {"success": False, "error": "Invalid API key"}),
        (
            "deepvue",
            {"x-api-key": "KEY", "client-id": "wrong"},
            401,
            {"detail": "Invalid client_id or client_secret, access Denied"},
        ),
    ],
)
def test_wrong_credentials_get_the_vendors_own_error(
    sandbox: Sandbox, client: httpx.Client, vendor: str, headers: dict[str, str], status: int, body: Any
) -> None:
    path = {account.split("-")[0]: path for account, path in reversed(EVERYTHING)}[vendor]
    key = sandbox.keys[f"SANDBOX_{vendor.upper()}_MAIN_KEY"]
    given = {name: value.replace("KEY", key) for name, value in headers.items()}
    response = client.get(sandbox.base_url(vendor) + path, headers=given)
    assert (response.status_code, response.json()) == (status, body)


def test_a_missing_header_at_deepvue_is_named_in_an_array(sandbox: Sandbox, client: httpx.Client) -> None:
    response = client.get(f"{sandbox.base_url('deepvue')}/v1/internal/wallet-balance", headers={"x-api-key": "k"})
    assert response.status_code == 422
    assert [detail["loc"] for detail in response.json()["detail"]] == [["header", "client-id"]]


def test_an_account_not_opened_yet_is_unknown(get: Get, sandbox: Sandbox) -> None:
    assert get("deepvue-new", "/v1/internal/wallet-balance").json() == {
        "current_balance": 1000,
        "success": True,
    }
    sandbox.move_clock(NOW - timedelta(hours=4))
    assert get("deepvue-new", "/v1/internal/wallet-balance").status_code == 401


def test_a_disabled_client_at_deepvue_gets_the_documented_400(sandbox: Sandbox, get: Get) -> None:
    account = sandbox.world.accounts["deepvue-main"]
    account.disabled_at = NOW
    try:
        response = get("deepvue-main", "/v1/internal/wallet-balance")
    finally:
        account.disabled_at = None
    assert (response.status_code, response.json()) == (400, {"detail": "Inactive client_id"})
    assert get("deepvue-main", "/v1/internal/wallet-balance").status_code == 200


def test_voxpria_takes_its_key_in_either_documented_header(
    sandbox: Sandbox, client: httpx.Client, headers_of: Callable[[str], dict[str, str]]
) -> None:
    url = f"{sandbox.base_url('voxpria')}/api/v1/credits"
    key = headers_of("voxpria-main")["Authorization"].removeprefix("Bearer ")
    assert (
        client.get(url, headers={"X-API-Key": key}).json() == client.get(url, headers=headers_of("voxpria-main")).json()
    )
    assert client.get(url, headers={"X-API-Key": "another"}).status_code == 401


def test_the_documented_rate_limit_headers_are_sent(get: Get) -> None:
    voxpria = get("voxpria-main", "/api/v1/credits").headers
    assert voxpria["X-RateLimit-Limit"] == "1000"
    assert 0 < int(voxpria["X-RateLimit-Remaining"]) < 1000
    assert int(voxpria["X-RateLimit-Reset"]) % 3600 == 0
    assert int(get("vpsbg-main", "/balance").headers["X-RateLimit-Remaining"]) >= 1
    assert not [name for name in get("hyperstack-main", "/billing/user-credit/credit").headers if "rate" in name]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("360.00", "360"),
        ("41.67", "41.67"),
        ("-0.10", "-0.1"),
        ("0E-21", "0"),
        ("1E+2", "100"),
        ("0.000015", "0.000015"),
        ("1.479911760E-11", "1.47991176e-11"),
        ("-2E-9", "-2e-9"),
        ("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
    ],
)
def test_a_decimal_is_written_digit_by_digit(value: str, text: str) -> None:
    assert number_text(Decimal(value)) == text
    assert encode({"amount": Decimal(value)}) == f'{{"amount":{text}}}'.encode()
    assert Decimal(text) == Decimal(value)


def test_accounts_toml_names_a_variable_for_every_secret_and_contains_none(sandbox: Sandbox) -> None:
    text = sandbox.accounts_toml()
    settings = tomllib.loads(text)
    assert settings["allow_http_loopback"] is True
    assert set(settings["accounts"]) == set(sandbox.world.accounts)
    named = {
        value
        for account in settings["accounts"].values()
        for name, value in account.items()
        if name in ("api_key_env", "client_id_env")
    }
    assert named == set(sandbox.keys)
    assert len(set(sandbox.keys.values())) == len(sandbox.keys)
    assert not [key for key in sandbox.keys.values() if key in text]


def test_a_sandbox_of_one_vendor_frees_its_port_when_closed() -> None:
    with start(now=NOW, days=3, vendors=["deepvue"]) as small:
        port = small.port
        assert set(tomllib.loads(small.accounts_toml())["accounts"]) == {"deepvue-main", "deepvue-new"}
    with start(port=port, now=NOW, days=3, vendors=["deepvue"]) as again:
        assert again.port == port
