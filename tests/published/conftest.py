"""A published world for looking only, and a database of its own on the local PostgreSQL."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline import sandbox
from pipeline.refresh import Outcome
from tests.bench import Bench

NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)


DSN_VARIABLE = "DRAWDOWN_POSTGRES_DSN"
PASSWORD = "canary-pg-7f3bZq"
DEAD_DSN = f"postgresql://someone:{PASSWORD}@127.0.0.1:1/nowhere"
TEAM = 'plat\\form "A"\n'.strip()


@dataclass
class World:
    """A build for looking only, and how the run went that made it."""

    bench: Bench
    outcome: Outcome


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A build of two vendors. One account was never read, one belongs to a team with an odd name, and the PostgreSQL
    that is to have a copy is down.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        sandbox.start(seed=3, days=40, now=NOW, vendors=["vpsbg", "voxpria"]) as vendors,
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
    """The build; for looking only."""
    return world.bench


class Database:
    """A database of its own, and roles that are dropped with it."""

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
        """A role of this test's own."""
        name = self.own(kind)
        self._administrate(f"CREATE ROLE {name} {attributes}")
        return name

    def own(self, kind: str) -> str:
        """The name of a role that will be dropped if it is made."""
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


@pytest.fixture
def database() -> Iterator[Database]:
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


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """Where a test's own builds are published."""
    return tmp_path / "current.duckdb"
