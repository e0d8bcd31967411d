from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.sandbox_faults import Sandbox

NOW = datetime(2026, 3, 18, 13, 37, tzinfo=UTC)

Get = Callable[..., httpx.Response]
Exact = Callable[[httpx.Response], Any]


def pages(get: Get, exact: Exact, account: str, path: str, **query: Any) -> list[Any]:
    rows: list[Any] = []
    body = exact(get(account, path, **query))
    rows += body["data"]
    while body["links"]["next"]:
        url = httpx.URL(body["links"]["next"])
        body = exact(get(account, path, **dict(url.params)))
        rows += body["data"]
    return rows


def test_vpsbgs_balance_has_every_documented_field(get: Get, exact: Exact, sandbox: Sandbox) -> None:
    balance = exact(get("vpsbg-agency", "/balance"))
    assert set(balance) == {
        *("balance", "balance_limit", "estimated_expenses", "shortfall", "currency", "has_valid_card"),
        *("last_deposit", "unconfirmed_bitcoin_deposits"),
    }
    assert set(balance["last_deposit"]) == {"amount", "amount_with_vat", "payment_method", "payment_date"}
    assert balance["balance"] == sandbox.world.account("vpsbg-agency").balance_at(NOW)
    assert isinstance(balance["estimated_expenses"], int)
    (bitcoin,) = balance["unconfirmed_bitcoin_deposits"]
    assert bitcoin["tx_amount"] == "0.002793"
    assert (bitcoin["amount"], bitcoin["amount_with_vat"]) == (Decimal("58.02"), Decimal("69.62"))


def test_an_unconfirmed_deposit_becomes_credit_once_confirmed(get: Get, exact: Exact, sandbox: Sandbox) -> None:
    before = exact(get("vpsbg-agency", "/balance/transactions"))["data"]
    assert not [row for row in before if row["description"] == "Deposit by bitcoin"]
    sandbox.move_clock(NOW + timedelta(hours=18))
    assert exact(get("vpsbg-agency", "/balance"))["unconfirmed_bitcoin_deposits"] == []
    after = exact(get("vpsbg-agency", "/balance/transactions"))["data"]
    assert [row["amount_with_vat"] for row in after if row["description"] == "Deposit by bitcoin"] == [Decimal("69.62")]


def test_the_last_deposit_is_null_before_the_first(get: Get, exact: Exact, sandbox: Sandbox) -> None:
    sandbox.move_clock(sandbox.world.opened_at + timedelta(minutes=1))
    balance = exact(get("vpsbg-main", "/balance"))
    assert (balance["balance"], balance["last_deposit"]) == (0, None)


def test_estimated_expenses_are_the_renewals_of_the_next_thirty_days(get: Get, exact: Exact, sandbox: Sandbox) -> None:
    account = sandbox.world.account("vpsbg-main")
    until = NOW + timedelta(days=30)
    renewed = [e.amount for e in account.ledger(until) if e.kind == "renewal" and e.at > NOW]
    assert 0 <= exact(get("vpsbg-main", "/balance"))["estimated_expenses"] + sum(renewed) < 1


@pytest.mark.parametrize("account", ["vpsbg-main", "vpsbg-idle"])
def test_transactions_sum_to_the_balance_over_every_page(get: Get, exact: Exact, account: str) -> None:
    rows = pages(get, exact, account, "/balance/transactions")
    assert sum(row["amount"] for row in rows) == exact(get(account, "/balance"))["balance"]
    assert rows == sorted(rows, key=lambda row: (row["created_at"], row["id"]), reverse=True)
    assert len({row["id"] for row in rows}) == len(rows)
    assert pages(get, exact, account, "/balance/transactions", per_page=100) == rows


def test_the_agencys_rows_reconcile_only_with_vat(get: Get, exact: Exact) -> None:
    rows = pages(get, exact, "vpsbg-agency", "/balance/transactions")
    balance = exact(get("vpsbg-agency", "/balance"))["balance"]
    assert sum(row["amount_with_vat"] for row in rows) == balance
    assert sum(row["amount"] for row in rows) != balance
    assert {row["type"] for row in rows} == {"deposit", "renewal", "addon"}


def test_vpsbgs_pages_are_laravels(get: Get, exact: Exact, sandbox: Sandbox) -> None:
    total = len(sandbox.world.account("vpsbg-main").ledger(NOW))
    body = exact(get("vpsbg-main", "/balance/transactions", page=2))
    url = f"{sandbox.base_url('vpsbg')}/balance/transactions"
    last = -(-total // 15)
    assert body["links"] == {
        "first": f"{url}?page=1",
        "last": f"{url}?page={last}",
        "prev": f"{url}?page=1",
        "next": f"{url}?page=3",
    }
    meta = body["meta"]
    expected = {
        "current_page": 2,
        "from": 16,
        "to": 30,
        "last_page": last,
        "per_page": 15,
        "total": total,
        "path": url,
    }
    assert {name: meta[name] for name in expected} == expected
    beyond = exact(get("vpsbg-main", "/balance/transactions", page=last + 1))
    assert (beyond["data"], beyond["links"]["next"]) == ([], None)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/balance/transactions", {"page": 0}),
        ("/balance/transactions", {"page": "one"}),
        ("/balance/transactions", {"per_page": 101}),
        ("/servers", {"per_page": 51}),
        ("/orders", {"filter[status]": "unheard-of"}),
    ],
)
def test_vpsbg_refuses_a_parameter_out_of_bounds_by_name(get: Get, path: str, query: dict[str, Any]) -> None:
    response = get("vpsbg-main", path, **query)
    assert response.status_code == 422
    assert list(response.json()["errors"]) == list(query)


def test_orders_without_a_filter_hide_unpaid_ones(get: Get, exact: Exact) -> None:
    unfiltered = pages(get, exact, "vpsbg-agency", "/orders")
    assert {row["status"] for row in unfiltered} == {"paid"}
    everything = "processing,cancelled,paid,awaiting_payment"
    rows = pages(get, exact, "vpsbg-agency", "/orders", **{"filter[status]": everything})
    assert {row["status"] for row in rows} == set(everything.split(","))


def test_paid_orders_rebuild_the_ledger_except_refunds(get: Get, exact: Exact, sandbox: Sandbox) -> None:
    rows = pages(get, exact, "vpsbg-main", "/orders", **{"filter[status]": "paid"})
    deposits = sum(row["amount_with_vat"] for row in rows if row["type"] == "deposit")
    refunds = sum(e.amount for e in sandbox.world.account("vpsbg-main").ledger(NOW) if e.kind == "refund")
    rebuilt = deposits - sum(row["amount_from_balance"] for row in rows)
    assert rebuilt + refunds == exact(get("vpsbg-main", "/balance"))["balance"]
    assert refunds


def test_servers_expire_at_sofias_midnight_and_are_renewed_just_before(
    get: Get, exact: Exact, sandbox: Sandbox
) -> None:
    servers = exact(get("vpsbg-main", "/servers"))["data"]
    assert {server["expiry_at"][11:19] for server in servers} <= {"21:00:00", "22:00:00"}
    soonest = min(servers, key=lambda server: server["expiry_at"])
    expiry_at = datetime.fromisoformat(soonest["expiry_at"])
    ledger = sandbox.world.account("vpsbg-main").ledger(expiry_at)
    renewal = next(e for e in reversed(ledger) if e.description == f"Renewal: {soonest['hostname']}")
    assert timedelta(0) < expiry_at - renewal.at < timedelta(hours=1)
    assert -renewal.amount == soonest["plan"]["price_with_vat"] * soonest["billing_cycle"]
    sandbox.move_clock(expiry_at)
    renewed = {server["id"]: server for server in exact(get("vpsbg-main", "/servers"))["data"]}
    assert renewed[soonest["id"]]["expiry_at"] > soonest["expiry_at"]


def test_an_ended_server_is_listed_only_on_request(get: Get, exact: Exact) -> None:
    assert exact(get("vpsbg-idle", "/servers"))["data"] == []
    assert len(exact(get("vpsbg-idle", "/servers", **{"filter[status]": "terminated"}))["data"]) == 1


def test_invoices_are_proform_until_paid(get: Get, exact: Exact) -> None:
    rows = pages(get, exact, "vpsbg-main", "/invoices")
    assert {row["type"] for row in rows} == {"original", "proform"}
    assert all(len(row["order_ids"]) == 1 and len(row["invoice_number"]) == 10 for row in rows)
