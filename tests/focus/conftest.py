"""Two months of an account with a ledger, one with usage days, and one with balances only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.staging.landed import NewWorkshop, Workshop
from tests.staging.workshops import new_workshop, template, workshop

__all__ = ["new_workshop", "template", "workshop"]

FIRST = datetime(2026, 2, 20, 6, tzinfo=UTC)
LAST = datetime(2026, 3, 18, 12, tzinfo=UTC)

LEDGER = (
    # type, amount, time, and description
    ("deposit", "500.00", datetime(2026, 2, 21, 9, tzinfo=UTC), 'Card, "main"\nsecond line'),
    ("renewal", "-24.00", datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), "VPS, a month"),
    ("usage", "-3.50", datetime(2026, 3, 1, tzinfo=UTC), None),
    ("refund", "2.00", datetime(2026, 3, 2, 8, tzinfo=UTC), "Outage"),
    ("refund", "-100.00", datetime(2026, 3, 3, 8, tzinfo=UTC), "Paid out"),
    ("tax", "-0.70", datetime(2026, 3, 4, 8, tzinfo=UTC), "VAT"),
    ("adjustment", "1.25", datetime(2026, 3, 5, 8, tzinfo=UTC), None),
    ("surprise", "-4.00", datetime(2026, 3, 6, 8, tzinfo=UTC), None),
    ("surprise", "7.00", datetime(2026, 3, 7, 8, tzinfo=UTC), None),
)
USAGE = {date(2026, 2, 18) + timedelta(days=day): 10 + day for day in range(29)}


def land(workshop: Workshop, *, credit_price: str | None = "0.10") -> None:
    """Land the three vendors' answers at FIRST and at LAST."""
    workshop.landing.run(
        {
            "ledger": {
                "vendor": "vpsbg",
                "team": "web",
                "tags": {"product": "shop"},
                "monthly_budgets": [{"from_date": "1970-01-01", "budget_amount": "100", "unit_code": None}],
            },
            "days": {"vendor": "voxpria"}
            | ({"credit_price_amount": credit_price, "credit_price_unit_code": "USD"} if credit_price else {}),
            "balances": {"vendor": "hyperstack"},
        },
        at=LAST,
    )
    moved = sum(Decimal(amount) for _, amount, _, _ in LEDGER)
    for run_id, at, balance in (("run-1", FIRST, 1000), ("run-2", LAST, 1000 + moved)):
        answer = workshop.landing.answer
        answer(
            "vpsbg",
            "balance",
            {"balance": f"{balance:.2f}", "currency": "EUR"},
            account_id="ledger",
            at=at,
            run_id=run_id,
        )
        rows = [
            {"id": f"t{number}", "type": kind, "amount": amount, "created_at": when.isoformat(), "status": "paid"}
            | ({"description": words} if words else {})
            for number, (kind, amount, when, words) in enumerate(LEDGER)
            if when < at
        ]
        answer(
            "vpsbg",
            "transactions",
            {"data": rows, "links": {"next": None}, "meta": {}},
            account_id="ledger",
            at=at,
            run_id=run_id,
        )
        used = {day: amount for day, amount in USAGE.items() if day <= at.date()}
        left = 5000 - sum(used.values()) - (0 if at == LAST else -4)
        body = {"success": True, "data": {"balance": str(left), "currency": "credits", "lastUpdated": at.isoformat()}}
        answer("voxpria", "credits", body, account_id="days", at=at, run_id=run_id)
        # At FIRST the day was not over: 4 credits were still to come.
        days = [
            {
                "date": str(day),
                "calls": 3,
                "creditsUsed": amount - (4 if at == FIRST and day == at.date() else 0),
                "cost": "$1.00",
            }
            for day, amount in used.items()
        ]
        body = {"success": True, "data": {"usage": days, "total": {"calls": 1, "creditsUsed": 1, "cost": "$1.00"}}}
        answer("voxpria", "usage", body, account_id="days", at=at, run_id=run_id, days=(min(USAGE), at.date()))
        credit = "80.25" if at == FIRST else "71.5"
        answer(
            "hyperstack",
            "credit",
            {"status": True, "data": {"credit": credit}},
            account_id="balances",
            at=at,
            run_id=run_id,
        )
    workshop.load()
    workshop.recompute("core", "marts")


@pytest.fixture(scope="module")
def charged(new_workshop: NewWorkshop) -> Iterator[Workshop]:
    """All three accounts, loaded and charged; read-only, or within a transaction that is rolled back."""
    with new_workshop() as made:
        land(made)
        yield made
