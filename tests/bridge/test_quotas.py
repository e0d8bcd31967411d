"""Random histories of quotas: every balance is explained to the last digit, and nothing is invented."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from pipeline.models.discovery import discover
from pipeline.models.recompute import recompute
from tests.sql.rows import fill_in, insert
from tests.staging.landed import NewWorkshop, Workshop

START = datetime(2026, 1, 20, 3, tzinfo=UTC)
HOURS = 24 * 60
HISTORIES = 60
_TABLES = ("core.balance_intervals", "core.balance_residuals", "core.spend_daily")
_MONTHS = ("2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01")


@dataclass
class History:
    """One account as it was, and as its vendor stated it."""

    account_id: str
    is_exact: bool
    """It was read at the end of each period, and states its size: then all of its spend is known."""
    spent: Decimal = Decimal(0)
    """Since the first reading, up to the last."""
    resets: int = 0
    """Between the first reading and the last."""
    readings: list[tuple[datetime, Decimal, datetime | None, Decimal | None]] = field(default_factory=list)


def _history(number: int, drawn: random.Random) -> History:
    period = timedelta(hours=drawn.choice([6, 24, 24 * 7, 24 * 31]))
    size = Decimal(drawn.choice([1, 99, 100_000, 25_000_000])) / drawn.choice([1, 100])
    is_exact = drawn.random() < 0.4
    # A vendor may leave out the size, be late with the new time, or always state a time that is still far.
    style = "plain" if is_exact else drawn.choice(["plain", "unsized", "late", "rolling"])
    history = History(f"history-{number}-{style}", is_exact)
    left, reset = size, START + timedelta(hours=drawn.randint(1, 24 * 20))
    pending = Decimal(0)
    pending_resets = late_readings = 0
    stated = reset
    for hour in range(HOURS):
        now = START + timedelta(hours=hour)
        while now >= reset:
            left, reset = size, reset + period
            pending_resets += 1
            late_readings = drawn.choice([0, 1, 2]) if style == "late" else 0
        if drawn.random() < 0.5:
            used = min(left, (size * Decimal(drawn.randint(0, 20)) / 100).quantize(Decimal("0.01")))
            left -= used
            pending += used
        if style == "rolling":
            stated = now + period
        elif not late_readings:
            stated = reset
        is_last_of_period = now + timedelta(hours=1) >= reset
        if drawn.random() < 0.1 or (is_exact and is_last_of_period):
            if history.readings:
                history.spent += pending
                history.resets += pending_resets
            pending, pending_resets = Decimal(0), 0
            said = None if style in ("unsized", "rolling") else size
            # Read between two hours, so that a reset at the hour is before or after it.
            history.readings.append((now + timedelta(minutes=30), left, stated, said))
            late_readings = max(late_readings - 1, 0)
    return history


@pytest.fixture(scope="module", params=range(3))
def read(request: pytest.FixtureRequest, new_workshop: NewWorkshop) -> Iterator[tuple[Workshop, list[History]]]:
    drawn = random.Random(request.param)  # noqa: S311 - the same histories in every run
    histories = [_history(number, drawn) for number in range(HISTORIES)]
    with new_workshop() as workshop:
        _store(workshop, histories)
        yield workshop, histories


def _store(workshop: Workshop, histories: list[History]) -> None:
    connection = workshop.connection
    unit = {"unit_code": "acme-search"}
    insert(
        connection,
        "core.accounts",
        [unit | {"account_id": each.account_id, "evidence_level": "balance"} for each in histories],
    )
    insert(
        connection,
        "staging.evidence",
        [
            {
                "account_id": each.account_id,
                "basis": "balance",
                "first_date": f"{each.readings[0][0]:%Y-%m-%d}",
                "through_date": f"{each.readings[-1][0]:%Y-%m-%d}",
            }
            for each in histories
        ],
    )
    money = pl.Decimal(27, 9)
    readings = pl.DataFrame(
        [(each.account_id, *reading) for each in histories for reading in each.readings],
        schema={
            "account_id": pl.String, "observed_at_utc": pl.Datetime("us", "UTC"), "balance_amount": money,
            "resets_at_utc": pl.Datetime("us", "UTC"), "quota_amount": money,
        },
        orient="row",
    )  # fmt: skip
    connection.register("readings", readings)
    connection.execute(
        "INSERT INTO core.balance_snapshots BY NAME SELECT *, 'acme-search' AS unit_code, 'fresh' AS reading_state, "
        "'f' AS fetch_id FROM readings"
    )
    connection.unregister("readings")
    dirty = [{"table_name": table, "dirty_month": month} for table in _TABLES for month in _MONTHS]
    insert(connection, "staging.dirty_months", dirty)
    fill_in(connection)
    for table in _TABLES:
        with workshop.warehouse.transaction():
            recompute(connection, discover()[table])


_SUM = (
    "top_up_amount + refund_amount + usage_amount + renewal_amount + adjustment_amount + pending_amount + tax_amount "
    "+ quota_reset_amount + unexplained_amount"
)


def test_each_interval_adds_up_and_nothing_is_a_top_up_or_unexplained(read: tuple[Workshop, list[History]]) -> None:
    workshop, histories = read
    assert sum(each.resets for each in histories) > HISTORIES
    for check in discover()["core.balance_bridge"].blocking_checks:
        assert check.find(workshop.connection) == []
    for wrong in (
        f"opening_amount + {_SUM} <> closing_amount",
        "usage_amount > 0",
        "top_up_amount <> 0 OR inferred_top_up_amount <> 0 OR refund_amount <> 0",
        "unexplained_amount <> 0 OR unexplained_class IS NOT NULL",
        "quota_reset_amount < 0",
    ):
        assert workshop.rows(f"SELECT * FROM core.balance_bridge WHERE {wrong} LIMIT 3") == [], wrong


def test_spend_is_all_of_it_or_a_lower_bound_and_the_same_by_interval_and_by_day(
    read: tuple[Workshop, list[History]],
) -> None:
    workshop, histories = read
    bridged = dict(workshop.rows("SELECT account_id, -sum(usage_amount) FROM core.balance_bridge GROUP BY 1"))
    daily = dict(workshop.rows("SELECT account_id, sum(spend_amount) FROM core.spend_daily GROUP BY 1"))
    assert workshop.rows("SELECT * FROM core.spend_daily WHERE spend_amount < 0 OR NOT is_lower_bound") == []
    exact = 0
    for each in histories:
        found = bridged[each.account_id]
        assert daily[each.account_id] == found
        assert found <= each.spent, each.account_id
        if each.is_exact:
            assert found == each.spent, each.account_id
            exact += 1
    assert exact > 10


def test_what_a_reset_moved_is_the_rise_and_the_known_spend(read: tuple[Workshop, list[History]]) -> None:
    workshop, histories = read
    moved = defaultdict(
        Decimal, workshop.rows("SELECT account_id, sum(quota_reset_amount) FROM core.balance_bridge GROUP BY 1")
    )
    for each in histories:
        change = each.readings[-1][1] - each.readings[0][1]
        if each.is_exact:
            assert moved[each.account_id] == change + each.spent
        if not each.resets:
            assert moved[each.account_id] == 0
