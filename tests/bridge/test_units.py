"""Random worlds of accounts that change their unit: no check breaks, no sum mixes units, nothing is invented."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from pipeline.models.discovery import discover
from tests.staging.landed import NewWorkshop, Workshop

pytestmark = pytest.mark.long

WORLDS = int(os.environ.get("DRAWDOWN_TEST_UNIT_WORLDS", "3"))
"""Number of worlds, each with five accounts. The default share is small."""

START = datetime(2026, 1, 30, 6, tzinfo=UTC)
_RATE = {"BGN": Decimal("1.95583"), "EUR": Decimal(1), "USD": Decimal("1.25")}
_WORDS = {"usage": -1, "renewal": -1, "deposit": 1, "refund": 1, "adjustment": -1, "tax": -1, "mystery": -1}
_CHECKS = {name: check for name, model in discover().items() for check in model.blocking_checks}


def _amount(drawn: random.Random) -> Decimal:
    return Decimal(drawn.choice([1, 5, 250, 999, 1955, 100000])).scaleb(-2)


def _land(workshop: Workshop, drawn: random.Random) -> dict[str, list[tuple[datetime, Decimal, str]]]:
    """Land five accounts over some weeks: the readings of each, as (when, amount, unit)."""
    landing = workshop.landing
    accounts = {
        "signed": {"vendor": "vpsbg"}, "unsigned": {"vendor": "vpsbg"}, "bound": {"vendor": "vpsbg"},
        "usage": {"vendor": "voxpria"}, "silent": {"vendor": "vpsbg"},
    }  # fmt: skip
    days = drawn.randint(3, 45)
    landing.run(accounts, at=START + timedelta(days=days))
    read: dict[str, list[tuple[datetime, Decimal, str]]] = defaultdict(list)
    for name in ("signed", "unsigned", "bound", "silent"):
        # A proxy may change the label back and forth, also within a day.
        switches = sorted(drawn.randint(1, days * 24) for _ in range(drawn.choice([0, 1, 1, 2, 3])))
        units = [drawn.choice(["BGN", "EUR"])]
        for _ in switches:
            units.append(drawn.choice([unit for unit in ("BGN", "EUR", "USD") if unit != units[-1]]))

        def held(hour: int, switches: list[int] = switches, units: list[str] = units) -> str:
            return units[sum(switch <= hour for switch in switches)]

        entries: list[dict[str, Any]] = []
        euros = Decimal(drawn.choice([0, 500, 10**9]))
        hour, polls = 0, 0
        while hour < days * 24:
            hour += drawn.choice([1, 5, 24, 24, 24, 70])
            at = START + timedelta(hours=hour)
            for _ in range(drawn.choice([0, 1, 1, 2])):
                word = drawn.choice(sorted(_WORDS))
                amount = _amount(drawn) * drawn.choice([1, 1, 1, 1, 0, -1])
                euros += amount * _WORDS[word]
                foreign = drawn.random() < 0.15
                unit = "USD" if foreign else held(hour)
                stated = amount if name == "unsigned" else amount * _WORDS[word]
                row = {
                    "id": len(entries) + 1, "type": word, "amount": str(stated),
                    # At the exact instant of a reading, before it, or only in the future.
                    "created_at": (at + timedelta(minutes=drawn.choice([0, -30, -7, 60 * 24 * 40]))).isoformat(),
                    "status": drawn.choice(["paid", "paid", "paid", "pending", "cancelled"]),
                }  # fmt: skip
                if foreign or drawn.random() < 0.5:
                    row["currency"] = unit
                entries.append(row)
            if name != "silent" or polls == 0:
                polls += 1
                unit = held(hour)
                balance = (euros * _RATE[unit]).quantize(Decimal("0.01"))
                body = {"balance": str(balance), "currency": unit}
                landing.answer("vpsbg", "balance", body, account_id=name, at=at, run_id=f"run-{name}-{polls}")
                read[name].append((at, balance, unit))
            if name != "bound" or hour > days * 12:
                page = {"data": list(reversed(entries)), "links": {"next": None}, "meta": {}}
                landing.answer("vpsbg", "transactions", page, account_id=name, at=at, run_id=f"run-{name}-{polls}")
    _land_usage(workshop, drawn, days, read)
    return read


def _land_usage(
    workshop: Workshop, drawn: random.Random, days: int, read: dict[str, list[tuple[datetime, Decimal, str]]]
) -> None:
    used = {(START + timedelta(days=day)).date(): _amount(drawn) * drawn.choice([1, 1, 0, -1]) for day in range(days)}
    for day in range(0, days, drawn.choice([1, 1, 2])):
        at = START + timedelta(days=day)
        past = {each: amount for each, amount in used.items() if each < at.date()}
        left = Decimal(10**6) - sum(past.values(), Decimal(0))
        body = {"success": True, "data": {"balance": str(left), "currency": "credits"}}
        workshop.landing.answer("voxpria", "credits", body, account_id="usage", at=at, run_id=f"run-usage-{day}")
        read["usage"].append((at, left, "voxpria-credit"))
        rows = [{"date": str(each), "calls": 1, "creditsUsed": str(amount)} for each, amount in past.items()]
        usage = {"success": True, "data": {"usage": rows, "total": None}}
        span = (START.date(), at.date())
        workshop.landing.answer(
            "voxpria", "usage", usage, account_id="usage", at=at, run_id=f"run-usage-{day}", days=span
        )


def _hold(workshop: Workshop, read: dict[str, list[tuple[datetime, Decimal, str]]]) -> None:
    for name, check in _CHECKS.items():
        assert check.find(workshop.connection) == [], name
    for account_id, readings in read.items():
        units = {unit for _, _, unit in readings}
        spans = workshop.rows(
            f"SELECT unit_code FROM core.account_units WHERE account_id = '{account_id}' ORDER BY from_at_utc"
        )
        turns = [readings[0][2], *(after[2] for before, after in pairwise(readings) if before[2] != after[2])]
        assert [unit for (unit,) in spans] == turns
        wanted = [(b[0], a[1], b[1], b[2]) for a, b in pairwise(readings) if a[2] == b[2]]
        found = workshop.rows(
            "SELECT closed_at_utc, opening_amount, closing_amount, unit_code FROM core.balance_bridge "
            f"WHERE account_id = '{account_id}' ORDER BY 1"
        )
        assert found == wanted
        foreign = {unit for (unit,) in workshop.rows(
            f"SELECT unit_code FROM core.ledger_entries WHERE account_id = '{account_id}' AND entry_source = 'ledger'"
        )}  # fmt: skip
        spent = {
            unit
            for (unit,) in workshop.rows(f"SELECT unit_code FROM core.spend_daily WHERE account_id = '{account_id}'")
        }
        assert spent <= units | foreign
    for table, key in (
        ("core.spend_daily", "account_id, spend_date, unit_code"),
        ("marts.spend_monthly", "account_id, spend_month, unit_code"),
        ("marts.balance_bridge_daily", "account_id, bridge_date, unit_code"),
        ("marts.balance_bridge_monthly", "account_id, bridge_month, unit_code"),
    ):
        assert workshop.rows(f"SELECT {key} FROM {table} GROUP BY ALL HAVING count(*) > 1") == [], table
    broken = workshop.rows(
        """
        SELECT * FROM marts.balance_bridge_monthly WHERE closing_amount <> opening_amount + top_up_amount + refund_amount
            + usage_amount + renewal_amount + adjustment_amount + pending_amount + tax_amount + unexplained_amount
            OR (unexplained_amount = 0) <> (unexplained_class IS NULL)
        """
    )
    assert broken == []
    # If spend follows from the ledger, FOCUS has the same by month and currency.
    differing = workshop.rows(
        """
        WITH spent AS (
            SELECT spend.account_id, date_trunc('month', spend_date) AS month, unit_code, sum(spend_amount) AS amount
            FROM core.spend_daily AS spend WHERE basis <> 'balance' AND unit_code NOT LIKE '%-%' GROUP BY ALL
        ), charged AS (
            SELECT x_AccountId AS account_id, date_trunc('month', ChargePeriodStart AT TIME ZONE 'UTC') AS month,
                BillingCurrency AS unit_code, sum(EffectiveCost) AS amount
            FROM marts.focus_cost_and_usage AS focus
            INNER JOIN staging.evidence AS evidence ON x_AccountId = evidence.account_id AND evidence.basis <> 'balance'
                AND CAST(ChargePeriodStart AT TIME ZONE 'UTC' AS DATE) BETWEEN first_date AND through_date
            WHERE ChargeCategory <> 'Purchase' GROUP BY ALL
        )
        SELECT * FROM spent FULL JOIN charged USING (account_id, month, unit_code)
        WHERE coalesce(spent.amount, 0) <> coalesce(charged.amount, 0)
        """
    )
    assert differing == []


@pytest.mark.parametrize("world", range(WORLDS))
def test_units_are_kept_apart_in_every_world(new_workshop: NewWorkshop, world: int) -> None:
    drawn = random.Random(world)  # noqa: S311 - repeatable worlds, not secrets
    with new_workshop() as workshop:
        read = _land(workshop, drawn)
        workshop.load()
        workshop.recompute("core", "marts")
        assert workshop.rows("SELECT * FROM staging.rejects") == []
        _hold(workshop, read)
