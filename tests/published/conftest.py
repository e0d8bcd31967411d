"""A published world, read-only, and a separate database on the local PostgreSQL."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from pipeline.orchestration.refresh import RefreshResult
from pipeline.published.postgres import Waits, load_postgres
from pipeline.published.publishing_assets import postgres
from pipeline.schema.render import create_table
from pipeline.schema.tables import ALL
from pipeline.settings.publish_targets import PostgresTarget
from tests import sandbox_faults as sandbox
from tests.bench import Bench
from tests.published.builds import note_taking
from tests.sql.rows import insert

NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)


DSN_VARIABLE = "DRAWDOWN_POSTGRES_DSN"
VARIABLE = "TEST_POSTGRES_DSN"
PASSWORD = "canary-pg-7f3bZq"
DEAD_DSN = f"postgresql://someone:{PASSWORD}@127.0.0.1:1/nowhere"
TEAM = 'plat\\form "A"\n'.strip()


EXACT = Decimal("123456789012345678.000000001")
ROWS = {
    "marts.account_status": [
        {"account_id": "main", "team": TEAM, "balance_amount": str(EXACT), "threshold_amount": "20",
         "observed_at_utc": "2026-10-07T08:59:30.25Z", "burn_7d_amount": "1.5", "burn_28d_amount": "2.482142857",
         "runway_p10_date": "2026-10-10", "runway_p50_date": "2026-10-12", "runway_p90_date": "2026-10-20",
         "depleted_7d_probability": "0.75", "depleted_30d_probability": "1", "severity": "critical",
         "topup_amount": "100", "topup_gross_amount": "120", "order_by_date": "2026-10-08",
         "resets_at_utc": "2026-11-01T00:00:00Z", "depleted_before_reset_probability": "0.875"},
        {"account_id": "long", "balance_amount": "-0.5", "observed_at_utc": "2026-10-01T00:00:00Z",
         "reading_state": "stale", "runway_p10_date": "2026-11-10", "depleted_7d_probability": "0", "severity": "unknown",
         "burn_28d_amount": "0", "topup_amount": "0"},
        {"account_id": "unread", "reading_state": "unknown", "severity": "unknown", "unit_code": "unknown"},
    ],
    "core.balance_bridge": [
        {"account_id": "main", "closed_at_utc": "2026-10-06T00:00:00Z", "unexplained_amount": "-3.25"},
        {"account_id": "main", "closed_at_utc": "2026-10-05T00:00:00Z", "unexplained_amount": "3.5"},
        {"account_id": "main", "closed_at_utc": "2026-10-04T00:00:00Z", "unexplained_amount": "7", "unit_code": "USD"},
        {"account_id": "main", "closed_at_utc": "2026-09-07T09:00:00Z", "unexplained_amount": "1000"},
        {"account_id": "long", "closed_at_utc": "2026-10-06T00:00:00Z", "unexplained_amount": "0"},
    ],
    "marts.data_freshness": [
        {"account_id": "main", "last_observed_at_utc": "2026-10-07T08:00:00Z", "last_attempt_at_utc": "2026-10-07T09:00:00Z"},
        {"account_id": "unread", "last_attempt_at_utc": "2026-10-07T09:00:00Z"},
    ],
    "marts.month_outlook": [
        {"scope": "account", "scope_id": "main", "month_state": "running", "spend_month": "2026-10-01",
         "spent_amount": "60", "total_p10_amount": "200", "total_p50_amount": "250", "total_p90_amount": "300",
         "unit_code": "voxpria-credit", "budget_amount": "22", "budget_unit_code": "EUR", "over_budget_probability": "0.75"},
        {"scope": "fleet", "scope_id": "*", "month_state": "running", "spend_month": "2026-10-01", "spent_amount": "6"},
        {"scope": "fleet", "scope_id": "*", "month_state": "over", "spend_month": "2026-09-01", "spent_amount": "5"},
    ],
    "marts.build_info": [
        {"item": "as_of_utc", "value": "2026-10-07T09:00:00Z"},
        {"item": "built_at_utc", "value": "2026-10-07T09:00:05Z"},
        {"item": "reporting_unit_code", "value": "EUR"},
        {"item": "version_id", "value": "9.8.7"},
    ],
}  # fmt: skip


@pytest.fixture(scope="session")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """The input tables of metrics, with made-up rows; read-only."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for schema in ("staging", "core", "marts"):
            connection.execute(f"CREATE SCHEMA {schema}")
        note_taking(connection)
        for name, rows in ROWS.items():
            connection.execute(create_table(ALL[name]))
            opened = {"opened_at_utc": "2026-09-01T00:00:00Z"} if name == "core.balance_bridge" else {}
            insert(connection, name, [opened | row for row in rows])
        yield connection


@dataclass
class World:
    """A build, read-only, and the result of its run."""

    bench: Bench
    outcome: RefreshResult


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A build of two vendors.

    One account was never read, one belongs to a team with an unusual name, and its PostgreSQL is down.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        sandbox.start(seed=3, days=12, now=NOW, vendors=["vpsbg", "voxpria"]) as vendors,
    ):
        for name in ("DRAWDOWN_HOME", "DRAWDOWN_ACCOUNTS", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        toml = f'publish.postgres = {{ dsn_env = "{DSN_VARIABLE}" }}\n' + vendors.accounts_toml().replace(
            "[accounts.vpsbg-main]", f"[accounts.vpsbg-main]\nteam = '{TEAM}'"
        )
        keys = {**vendors.keys, DSN_VARIABLE: DEAD_DSN, "PASSWORD": PASSWORD}
        bench = Bench(tmp_path_factory.mktemp("published"), toml, keys)
        for name, value in bench.environment.items():
            patch.setenv(name, value)
        vendors.put_fault(
            "money_null", vendor="voxpria", account="voxpria-campaign", path="/api/v1/credits", exact=True
        )
        outcome = bench.run(NOW)
    return World(bench, outcome)


@pytest.fixture
def published(world: World) -> Bench:
    """The build, read-only."""
    return world.bench


class Database:
    """A separate database, and roles that are dropped with it."""

    def __init__(self, user: str) -> None:
        import psycopg2

        self.name = f"drawdown_{uuid.uuid4().hex[:12]}"
        self.user = user
        self.roles: list[str] = []
        self._administration = psycopg2.connect(host="127.0.0.1", user=user, dbname="postgres")
        self._administration.autocommit = True
        self._administrate(f"CREATE DATABASE {self.name}")

    @property
    def dsn(self) -> str:
        return self.dsn_of(self.user)

    def dsn_of(self, user: str, password: str = "") -> str:
        return f"postgresql://{user}{f':{password}' if password else ''}@127.0.0.1:5432/{self.name}"

    def _administrate(self, statement: str) -> None:
        with self._administration.cursor() as cursor:
            cursor.execute(statement)

    def role(self, kind: str, attributes: str) -> str:
        """Create a role for this test."""
        name = self.own(kind)
        self._administrate(f"CREATE ROLE {name} {attributes}")
        return name

    def own(self, kind: str) -> str:
        """Name of a role that is dropped if it is created."""
        name = f"{self.name}_{kind}"
        self.roles.append(name)
        return name

    def connect(self, dsn: str | None = None) -> Any:
        import psycopg2

        return psycopg2.connect(dsn or self.dsn)

    def rows(self, query: str, *parameters: Any, dsn: str | None = None) -> list[tuple[Any, ...]]:
        connection = self.connect(dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SET LOCAL TimeZone = 'UTC'")
                cursor.execute(query, parameters or None)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def close(self) -> None:
        self._administrate(f"DROP DATABASE {self.name} WITH (FORCE)")
        for role in self.roles:
            self._administrate(f"DROP ROLE IF EXISTS {role}")
        self._administration.close()


def _database() -> Iterator[Database]:
    pytest.importorskip("psycopg2", reason="the extra drawdown[postgres] is not installed")
    import psycopg2

    try:
        socket.create_connection(("127.0.0.1", 5432), timeout=1).close()
    except OSError:
        pytest.skip("no PostgreSQL answers on 127.0.0.1:5432")
    user = os.environ.get("PGUSER", "postgres")
    try:
        made = Database(user)
    except psycopg2.OperationalError as problem:
        pytest.skip(f"PostgreSQL on 127.0.0.1:5432 does not let {user} in: {problem}")
    yield made
    made.close()


database = pytest.fixture(_database)
shared_database = pytest.fixture(_database, scope="session")


@dataclass
class Copy:
    """The build in PostgreSQL, loaded by the asset as a role with the minimum of permissions."""

    database: Database
    reader_role: str
    result: dg.ExecuteInProcessResult


@pytest.fixture(scope="session")
def copy(world: World, shared_database: Database) -> Copy:
    """The copy, read-only."""
    reader = shared_database.role("readers", "NOLOGIN")
    loader = shared_database.role("loader", f"LOGIN PASSWORD '{PASSWORD}'")
    shared_database.rows(f"GRANT CREATE ON DATABASE {shared_database.name} TO {loader}")
    toml = world.bench.accounts_toml.replace('" }', f'", reader_role = "{reader}" }}', 1)
    return Copy(shared_database, reader, load_by_asset(world, toml, shared_database.dsn_of(loader, PASSWORD)))


def load_by_asset(world: World, accounts_toml: str, dsn: str) -> dg.ExecuteInProcessResult:
    """Materialise the asset alone over the build."""
    accounts = world.bench.folder / "other.toml"
    accounts.write_text(accounts_toml, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRAWDOWN_ACCOUNTS", str(accounts))
        patch.setenv(DSN_VARIABLE, dsn)
        return dg.materialize([postgres], resources={"home": world.bench.home})


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """Path of a test's own published builds."""
    return tmp_path / "current.duckdb"


@pytest.fixture
def load(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Load a build into the test's database."""

    def load(current: Path, dsn: str | None = None, waits: Waits | None = None, **settings: Any) -> Any:
        monkeypatch.setenv(VARIABLE, dsn or database.dsn)
        target = PostgresTarget(source="accounts.toml", dsn_variable=VARIABLE, **settings)
        return load_postgres(current, target, waits)

    return load
