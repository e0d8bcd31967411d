from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.sandbox_faults import Sandbox

NOW = datetime(2026, 3, 18, 13, 37, tzinfo=UTC)

Get = Callable[..., httpx.Response]
Exact = Callable[[httpx.Response], Any]


def test_voxprias_usage_leaves_out_days_without_calls(get: Get, exact: Exact, sandbox: Sandbox) -> None:
    data = exact(get("voxpria-main", "/api/v1/credits/usage", startDate="2026-02-16", endDate="2026-03-18"))["data"]
    days = [row["date"] for row in data["usage"]]
    assert days == sorted(days, reverse=True)
    assert (days[0], days[-1]) == ("2026-03-18", "2026-02-16")
    assert not {"2026-02-22", "2026-03-01", "2026-03-08", "2026-03-15"} & set(days)
    assert all(row["calls"] > 0 for row in data["usage"])
    reported = {day.day.isoformat(): day.amount for day in sandbox.world.account("voxpria-main").usage(NOW)}
    assert {row["date"]: row["creditsUsed"] for row in data["usage"]} == {day: reported[day] for day in days}


def test_voxprias_cost_is_dollars_at_ten_cents_a_credit_and_the_total_is_of_the_rows(get: Get, exact: Exact) -> None:
    data = exact(get("voxpria-main", "/api/v1/credits/usage"))["data"]
    for row in [*data["usage"], data["total"]]:
        assert row["cost"] == f"${row['creditsUsed'] // 10}.{row['creditsUsed'] % 10}0"
    assert data["total"]["creditsUsed"] == sum(row["creditsUsed"] for row in data["usage"])
    assert data["total"]["calls"] == sum(row["calls"] for row in data["usage"])


def test_voxpria_restates_one_day_from_a_stated_instant_on(get: Get, exact: Exact, sandbox: Sandbox) -> None:
    account: Any = sandbox.world.account("voxpria-main")
    day = account.restated_day.isoformat()

    def used() -> int:
        (row,) = exact(get("voxpria-main", "/api/v1/credits/usage", startDate=day, endDate=day))["data"]["usage"]
        return int(row["creditsUsed"])

    first = used()
    sandbox.move_clock(account.restated_at - timedelta(seconds=1))
    assert used() == first
    sandbox.move_clock(account.restated_at)
    assert used() > first


def test_voxprias_balance_and_usage_differ_only_by_packs(get: Get, exact: Exact, sandbox: Sandbox) -> None:
    usage = exact(get("voxpria-campaign", "/api/v1/credits/usage", startDate="2025-02-11", endDate="2026-03-18"))
    packs = sum(e.amount for e in sandbox.world.account("voxpria-campaign").ledger(NOW) if e.kind == "top_up")
    balance = exact(get("voxpria-campaign", "/api/v1/credits"))["data"]["balance"]
    assert packs - usage["data"]["total"]["creditsUsed"] == balance


@pytest.mark.parametrize("query", [{"startDate": "yesterday"}, {"startDate": "2026-03-02", "endDate": "2026-03-01"}])
def test_voxpria_refuses_dates_out_of_order(get: Get, query: dict[str, str]) -> None:
    assert get("voxpria-main", "/api/v1/credits/usage", **query).status_code == 400
