"""The alert rule `budget`: by the chance of exceeding a budget, and by the amount that is spent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from pipeline.alerts.budget_rule import budget_findings
from pipeline.alerts.state_machine import Key, RuleResult, State, step
from pipeline.schema.render import create_table
from pipeline.schema.tables import ALL
from pipeline.settings.alert_policy import Policy

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
_TABLES = ("staging.build", "forecasts.current_month_outlook", "marts.account_status")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name in _TABLES:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}")
            connection.execute(create_table(ALL[name]).replace(" NOT NULL", ""))
        connection.execute("INSERT INTO staging.build (as_of_utc) VALUES (?)", [NOW])
        yield connection


def _insert(connection: duckdb.DuckDBPyConnection, **given: Any) -> None:
    row = {
        "scope": "team", "scope_id": "web", "spend_month": date(2026, 3, 1), "spent_amount": Decimal(190),
        "total_p10_amount": Decimal(280), "total_p50_amount": Decimal(310), "total_p90_amount": Decimal(350),
        "unit_code": "EUR", "budget_amount": Decimal(300), "budget_unit_code": "EUR",
        "budget_spent_amount": Decimal(190), "over_budget_probability": 0.7, **given,
    }  # fmt: skip
    names, marks = ", ".join(row), ", ".join("?" for _ in row)
    connection.execute(f"INSERT INTO forecasts.current_month_outlook ({names}) VALUES ({marks})", list(row.values()))


def _one(connection: duckdb.DuckDBPyConnection, policy: Policy | None = None) -> RuleResult:
    (found,) = budget_findings(connection, policy or Policy())
    return found


def test_a_probable_overrun_is_a_warning_that_says_how_much_and_when(connection: duckdb.DuckDBPyConnection) -> None:
    _insert(connection, budget_used_up_date=date(2026, 3, 30))
    found = _one(connection)
    assert (found.account_id, found.rule, found.severity, found.is_fresh) == ("team:web", "budget", "warning", True)
    assert found.message == (
        "The chance of exceeding the budget of 300.00 EUR for March 2026 is 70 %: 190.00 EUR was spent on its complete "
        "days, and 310.00 EUR (80 %: 280.00 to 350.00) is expected by its end. It is likely to be used up by 2026-03-30."
    )


def test_a_spent_budget_is_one_level_worse(connection: duckdb.DuckDBPyConnection) -> None:
    _insert(connection, budget_spent_amount=Decimal("300.01"), over_budget_probability=1.0)
    found = _one(connection)
    assert found.severity == "critical"
    assert found.message.startswith(
        "300.01 EUR was spent on its complete days, 0.01 EUR more than the budget of 300.00"
    )
    assert _one(connection, Policy(severities={"budget": "watch"})).severity == "warning"


@pytest.mark.parametrize(
    ("probability", "severity", "held"), [(0.5, "warning", "warning"), (0.49, None, "warning"), (0.39, None, None)]
)
def test_it_opens_at_the_limit_and_improves_only_well_below_it(
    connection: duckdb.DuckDBPyConnection, probability: float, severity: str | None, held: str | None
) -> None:
    _insert(connection, over_budget_probability=probability)
    found = _one(connection)
    assert (found.severity, found.held_severity) == (severity, held)


def test_the_owner_sets_the_limit_and_can_turn_the_rule_off(connection: duckdb.DuckDBPyConnection) -> None:
    _insert(connection)
    assert _one(connection, Policy(budget_probability=Decimal("0.8"))).severity is None
    assert list(budget_findings(connection, Policy(severities={"budget": "off"}))) == []


def test_without_a_forecast_nothing_is_known_until_the_budget_is_spent(connection: duckdb.DuckDBPyConnection) -> None:
    _insert(connection, over_budget_probability=None, total_p50_amount=None)
    _insert(connection, scope="fleet", scope_id="*", over_budget_probability=1.0, budget_spent_amount=Decimal(301))
    fleet, team = budget_findings(connection, Policy())
    assert (fleet.account_id, fleet.is_known, fleet.severity) == ("*", True, "critical")
    assert (team.account_id, team.is_known, team.severity) == ("team:web", False, None)


def test_an_account_is_judged_by_its_own_reading_and_in_the_unit_of_its_budget(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    account = {"scope": "account", "scope_id": "main", "unit_code": "INR", "reporting_total_p50_amount": Decimal(311)}
    _insert(connection, **account, reporting_unit_code="EUR")
    connection.execute(
        "INSERT INTO marts.account_status (account_id, reading_state, observed_at_utc) VALUES ('main', 'stale', ?)",
        [NOW],
    )
    found = _one(connection)
    assert (found.account_id, found.is_fresh, found.read_at) == ("main", False, NOW)
    assert "and 311.00 EUR is expected by its end" in found.message
    # The month's end is not known in a third currency.
    connection.execute("DELETE FROM forecasts.current_month_outlook")
    _insert(connection, **account, reporting_unit_code="USD")
    assert "EUR was spent on its complete days." in _one(connection).message


def test_a_later_month_is_a_new_alert_and_the_same_one_is_not(connection: duckdb.DuckDBPyConnection) -> None:
    states: dict[Key, State] = {}
    told: list[tuple[str, str, str]] = []

    def judge(at: datetime, **given: Any) -> None:
        nonlocal states
        connection.execute("DELETE FROM forecasts.current_month_outlook")
        connection.execute("UPDATE staging.build SET as_of_utc = ?", [at])
        _insert(connection, **given)
        states, events = step(states, budget_findings(connection, Policy()), [], at)
        told.extend((event.event, event.severity, event.message.split(": ")[0][-18:]) for event in events)

    april = {"spend_month": date(2026, 4, 1)}
    judge(NOW)
    judge(NOW + timedelta(hours=1))
    judge(NOW + timedelta(hours=2), budget_spent_amount=Decimal(301))
    judge(NOW + timedelta(days=20), **april)
    judge(NOW + timedelta(days=20, hours=1), **april)
    [state] = states.values()
    assert (state.severity, state.since_at_utc, state.alert_state) == ("warning", NOW + timedelta(days=20), "open")
    judge(NOW + timedelta(days=50), spend_month=date(2026, 5, 1), over_budget_probability=0.0)
    judge(NOW + timedelta(days=50, hours=1), spend_month=date(2026, 5, 1), over_budget_probability=0.0)
    assert [(event, severity) for event, severity, _ in told] == [
        ("opened", "warning"), ("escalated", "critical"), ("opened", "warning"), ("recovered", "warning")
    ]  # fmt: skip
    assert "April 2026 is 70 %" in told[2][2]


def test_months_without_a_budget_are_not_judged(connection: duckdb.DuckDBPyConnection) -> None:
    _insert(connection, budget_amount=None, budget_unit_code=None)
    assert list(budget_findings(connection, Policy())) == []
