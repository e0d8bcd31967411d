"""Inputs of the alert rules, read from real tables with a few rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from pipeline.alerts.account_facts import AccountFacts, Anomaly, AnswerChange, BrokenRule
from pipeline.alerts.rule_inputs import READS, read_readings
from pipeline.alerts.rules import findings
from pipeline.schema.columns import Type
from pipeline.schema.render import create_table
from pipeline.schema.tables import ALL
from pipeline.settings.alert_policy import Policy

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
_ANYTHING = {Type.NUMBER: 1.0, Type.MONEY: Decimal(0), Type.INSTANT: NOW, Type.DATE: NOW.date(), Type.BOOLEAN: False}


class Tables:
    """The tables that alerts read, empty except for one fresh account."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        connection.execute("SET TimeZone = 'UTC'")
        for layer in ("staging", "core", "forecasts", "marts"):
            connection.execute(f"CREATE SCHEMA {layer}")
        for name in READS:
            connection.execute(create_table(ALL[name]))
        self.insert("staging.build", as_of_utc=NOW)
        self.insert("core.accounts", account_id="main", unit_code="EUR", alert_below_amount=Decimal(30))
        self.insert(
            "marts.account_status",
            account_id="main", unit_code="EUR", balance_amount=Decimal(100), observed_at_utc=NOW, method="full",
            reading_state="fresh", severity="ok", burn_28d_amount=Decimal(10), runway_p10_date=date(2026, 3, 16),
            history_days=40.0,
        )  # fmt: skip
        first = NOW - timedelta(days=90)
        self.insert(
            "staging.fetches", fetch_id="1", account_id="main", endpoint="e", fetched_at_utc=first, outcome="ok"
        )

    def insert(self, table: str, **given: Any) -> None:
        """Insert a row; missing values are NULL, or a default where NULL is not allowed."""
        row = {
            column.name: (column.column.allowed or (_ANYTHING.get(column.column.type, 1),))[0]
            for column in ALL[table].columns
            if not column.is_nullable
        } | given
        marks = ", ".join("?" for _ in row)
        self.connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))

    def interval(
        self, days_ago: float, amount: int, unexplained_class: str = "missing_entry", unit: str = "EUR"
    ) -> None:
        closed = NOW - timedelta(days=days_ago)
        self.insert(
            "core.balance_bridge", account_id="main", closed_at_utc=closed, unexplained_amount=Decimal(amount),
            unexplained_class=unexplained_class if amount else None, unit_code=unit,
        )  # fmt: skip

    def reading(self) -> AccountFacts:
        [reading] = read_readings(self.connection)
        return reading

    def opened(self) -> set[str]:
        return {each.rule for each in findings(self.reading(), Policy()) if each.severity is not None}


@pytest.fixture
def tables() -> Iterator[Tables]:
    with duckdb.connect() as connection:
        yield Tables(connection)


def test_an_accounts_row_is_read_exactly(tables: Tables) -> None:
    reading = tables.reading()
    assert (reading.balance_amount, reading.alert_below_amount) == (Decimal(100), Decimal(30))
    assert (reading.cautious_days, reading.is_spend_known, reading.observed_at_utc) == (6.0, True, NOW)
    assert tables.opened() == {"runway"}


@pytest.mark.parametrize(
    ("intervals", "amount"),
    [
        ([(2, -7)], 7),
        ([(2, -7), (3, 4)], 11),
        ([(0.5, -7)], None),
        ([(9, -7)], None),
        ([(2, -7, "boundary"), (3, 7, "boundary")], None),
        ([(2, 7, "pending_deposit")], None),
        ([(2, 7, "unknown", "USD")], None),
        ([(2, 0)], None),
    ],
)
def test_unexplained_money_counts_after_the_settling_day(
    tables: Tables, intervals: list[tuple[Any, ...]], amount: int | None
) -> None:
    for interval in intervals:
        tables.interval(*interval)
    assert tables.reading().unexplained_amount == amount
    assert ("unexplained" in tables.opened()) == (amount is not None)
    if amount is not None:
        assert tables.reading().unexplained_classes == ("missing_entry",)
        assert tables.reading().unexplained_until_utc == NOW - timedelta(days=2)


@pytest.mark.parametrize(("days_ago", "is_sent"), [(1, True), (7, True), (8, False)])
def test_an_anomaly_of_the_last_days_is_reported(tables: Tables, days_ago: int, is_sent: bool) -> None:
    day = NOW.date() - timedelta(days=days_ago)
    tables.insert("forecasts.anomalies", account_id="main", anomaly_kind="spike", last_date=day, reason="Ten times.")
    assert tables.reading().anomaly == (Anomaly("spike", "Ten times.") if is_sent else None)


@pytest.mark.parametrize(("days_ago", "is_sent"), [(1, True), (7, True), (8, False)])
def test_a_change_of_unit_opens_its_own_alert(tables: Tables, days_ago: int, is_sent: bool) -> None:
    day = NOW.date() - timedelta(days=days_ago)
    tables.insert(
        "forecasts.anomalies", account_id="main", anomaly_kind="unit_changed", last_date=day, reason="From BGN to EUR."
    )
    assert tables.reading().unit_change_reason == ("From BGN to EUR." if is_sent else None)
    assert tables.reading().anomaly is None
    assert ("unit" in tables.opened()) == is_sent


def test_rounding_opens_no_alert(tables: Tables) -> None:
    tables.interval(2, 9, "rounding")
    assert tables.reading().unexplained_amount is None


def test_a_changed_shape_is_reported_and_an_original_one_is_not(tables: Tables) -> None:
    def drift(column: str, check: str, days_ago: int) -> None:
        seen = NOW - timedelta(days=days_ago)
        tables.insert(
            "staging.schema_drift", account_id="main", endpoint="e", column_name=column, check_name=check,
            first_observed_at_utc=seen,
        )  # fmt: skip

    drift("a", "unknown_field", 90)
    drift("b", "rounded_amount", 0)
    drift("c", "unknown_field", 3)
    assert tables.reading().answer_changes == ()
    drift("d", "unknown_field", 1)
    for _ in range(2):
        tables.insert("staging.rejects", account_id="main", endpoint="e", column_name="a", check_name="is_present")
    assert tables.reading().answer_changes == (
        AnswerChange("e", "a", "is_present"),
        AnswerChange("e", "d", "unknown_field"),
    )


def test_every_rule_that_rows_break_is_told_but_those_of_the_alerts_themselves(tables: Tables) -> None:
    assert tables.reading().broken_rules == ()
    for table, rule in (
        ("core.spend_daily", "b"),
        ("core.orders", "c"),
        ("core.spend_daily", "a"),
        ("alerts.states", "d"),
    ):
        tables.insert("staging.quarantine", account_id="main", table_name=table, rule_name=rule)
    assert tables.reading().broken_rules == (
        BrokenRule("core.orders", "c"),
        BrokenRule("core.spend_daily", "a"),
        BrokenRule("core.spend_daily", "b"),
    )
    assert "quarantine" in tables.opened()


def poll(tables: Tables, number: int, hours_ago: float, outcome: str = "ok", accepted: int = 1, **more: Any) -> None:
    """Insert a request for the balance, and its result."""
    at = NOW - timedelta(hours=hours_ago)
    tables.insert(
        "staging.fetches", fetch_id=f"f{number}", account_id="main", endpoint="balance", fetched_at_utc=at,
        outcome=outcome, is_reading=True, reason=None if outcome == "ok" else f"main: {outcome}; do this",
    )  # fmt: skip
    if outcome == "ok":
        tables.insert(
            "staging.loads", fetch_id=f"f{number}", record_kind="balances", accepted_rows=accepted, **more
        )  # fmt: skip


def test_failed_requests_are_counted_since_the_last_that_gave_a_balance(tables: Tables) -> None:
    for number, (hours, outcome, accepted) in enumerate(
        [(9, "timeout", 0), (5, "ok", 1), (4, "timeout", 0), (3, "ok", 0), (2, "unauthorised", 0)]
    ):
        poll(tables, number, hours, outcome, accepted)
    reading = tables.reading()
    assert (reading.failed_poll_count, reading.silent_seconds, reading.is_overdue) == (3, 5 * 3600, False)
    assert reading.remedy == "main: unauthorised; do this"


def test_an_account_that_was_never_read_is_silent_since_its_first_request(tables: Tables) -> None:
    poll(tables, 1, 7, "timeout")
    poll(tables, 2, 1, "timeout")
    assert (tables.reading().failed_poll_count, tables.reading().silent_seconds) == (2, 7 * 3600)


def test_an_answer_that_gave_a_balance_ends_the_count(tables: Tables) -> None:
    poll(tables, 1, 7, "timeout")
    poll(tables, 2, 1)
    reading = tables.reading()
    assert (reading.failed_poll_count, reading.silent_seconds, reading.remedy) == (0, 3600, None)


def test_a_newest_row_that_was_refused_and_a_reading_that_is_too_old_are_overdue(tables: Tables) -> None:
    poll(tables, 1, 0, received_rows=3, accepted=2, refused_newest_row=3)
    assert tables.reading().is_overdue
    poll(tables, 2, 0, received_rows=3, accepted=3)
    assert not tables.reading().is_overdue
    tables.connection.execute("UPDATE marts.account_status SET age_seconds = 61, stale_after_seconds = 60")
    assert tables.reading().is_overdue


def test_credits_have_the_price_of_the_day(tables: Tables) -> None:
    tables.connection.execute("UPDATE marts.account_status SET unit_code = 'voxpria-credit'")
    for first, last, price in ((40, 11, "0.30"), (10, 0, "0.20"), (-1, None, "0.10")):
        tables.insert(
            "core.credit_prices", account_id="main", unit_code="voxpria-credit", price_amount=Decimal(price),
            price_unit_code="USD", from_date=NOW.date() - timedelta(days=first),
            to_date=None if last is None else NOW.date() - timedelta(days=last),
        )  # fmt: skip
    assert (tables.reading().price_amount, tables.reading().price_unit_code) == (Decimal("0.20"), "USD")
    tables.connection.execute("DELETE FROM core.credit_prices WHERE price_amount = 0.20")
    assert (tables.reading().price_amount, tables.reading().price_unit_code) == (None, None)
