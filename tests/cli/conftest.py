"""One published build for all tests of the command line, and published files made row by row."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

import duckdb
import pytest

from pipeline.cli import main
from pipeline.schema.columns import Type
from pipeline.schema.render import create_table
from pipeline.schema.tables import ALL
from tests.forked import Forked
from tests.sandbox_faults import Sandbox, start

NOW = datetime(2026, 3, 18, 13, 37, tzinfo=UTC)
DRAWDOWN = Path(sys.executable).with_name("drawdown")

Done = subprocess.CompletedProcess[str]


@dataclass
class Desk:
    """A folder with an accounts.toml and a state folder, and the command in it."""

    folder: Path
    accounts_toml: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.accounts_toml:
            self.accounts.write_text(self.accounts_toml)

    @property
    def accounts(self) -> Path:
        return self.folder / "accounts.toml"

    @property
    def home(self) -> Path:
        return self.folder / "data"

    def environment(self, **more: str) -> dict[str, str]:
        names = ("DAGSTER_HOME", "FORCE_COLOR", "NO_COLOR", "TERM")
        outside = {name: value for name, value in os.environ.items() if name not in names}
        own = {"DRAWDOWN_HOME": str(self.home), "DRAWDOWN_ACCOUNTS": str(self.accounts), "COLUMNS": "80"}
        return {**outside, **self.keys, **own, **more}

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start the installed command."""
        return subprocess.Popen(
            [DRAWDOWN, *arguments],
            env=self.environment(**environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_all(self, *commands: Sequence[str], **environment: str) -> list[Done]:
        """Run several commands concurrently, in processes forked from one that has imported them."""
        own = self.environment(**environment)
        started = [Forked(command, environment=own, folder=self.folder) for command in commands]
        return [each.end() for each in started]

    def here(self, *arguments: str, **environment: str) -> Done:
        """Run the command in this process, which is twenty times faster, for tests of its output."""
        before, umask = dict(os.environ), os.umask(0o077)
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
        code: object = 0
        os.environ.clear()
        os.environ.update(self.environment(**environment))
        try:
            with patch.object(sys, "argv", ["drawdown", *arguments]), redirect_stdout(out), redirect_stderr(err):
                main()
        except SystemExit as ending:
            code = ending.code or 0
        finally:
            os.environ.clear()
            os.environ.update(before)
            os.umask(umask)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read())
        assert isinstance(code, int)
        return subprocess.CompletedProcess(list(arguments), code, *texts)

    def __call__(self, *arguments: str, **environment: str) -> Done:
        return self.run_all(arguments, **environment)[0]


@pytest.fixture(scope="session")
def world() -> Iterator[Sandbox]:
    with start(days=120, now=NOW, vendors=["vpsbg", "voxpria"]) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _no_fault_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "world" in request.fixturenames:
        request.getfixturevalue("world").clear_faults()


@dataclass
class Built:
    """A published build, and its run, in which a vendor echoed a key."""

    desk: Desk
    run: Done


@pytest.fixture(scope="session")
def built(world: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Built:
    desk = Desk(tmp_path_factory.mktemp("built"), world.accounts_toml(), world.keys)
    world.put_fault("echo_key", account="vpsbg-main", path="/balance", exact=True, times=1)
    done = desk("run", "--as-of", NOW.isoformat())
    world.clear_faults()
    assert done.returncode == 0, done.stderr
    return Built(desk, done)


@pytest.fixture
def desk(built: Built) -> Desk:
    """The published build, read-only."""
    return built.desk


@pytest.fixture
def empty_desk(world: Sandbox, tmp_path: Path) -> Desk:
    """The sandbox's accounts, and no state folder yet."""
    return Desk(tmp_path, world.accounts_toml(), world.keys)


Row = dict[str, Any]


class Publish(Protocol):
    """Publishes account rows, and the fleet's row if it is given."""

    def __call__(self, rows: list[Row], as_of: datetime | None = None, fleet: Row | None = None) -> Desk: ...


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """Publish account rows made for one test; missing values are NULL, or a default where NULL is not allowed."""

    def publish(rows: list[Row], as_of: datetime | None = None, fleet: Row | None = None) -> Desk:
        desk = Desk(tmp_path)
        shutil.rmtree(desk.home, ignore_errors=True)
        (desk.home / "published").mkdir(parents=True)
        with duckdb.connect(desk.home / "published" / "current.duckdb") as connection:
            connection.execute("CREATE SCHEMA marts")
            for name in ("marts.account_status", "marts.fleet_status", "marts.build_info"):
                connection.execute(create_table(ALL[name]))
            for row in rows:
                _insert(connection, "marts.account_status", row)
            if fleet is not None:
                _insert(connection, "marts.fleet_status", fleet)
            instant = as_of or datetime.now(UTC) - timedelta(minutes=5, seconds=3)
            _insert(connection, "marts.build_info", {"item": "as_of_utc", "value": instant.isoformat()})
        return desk

    return publish


def _insert(connection: duckdb.DuckDBPyConnection, table: str, given: Row) -> None:
    anything = {Type.NUMBER: 1.0, Type.MONEY: Decimal(1), Type.INSTANT: NOW, Type.DATE: NOW.date(), Type.TEXT: "any"}
    row = {
        column.name: (column.column.allowed or (anything.get(column.column.type, 1),))[0]
        for column in ALL[table].columns
        if not column.is_nullable
    } | given
    marks = ", ".join("?" for _ in row)
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
