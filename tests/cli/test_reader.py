"""Opening of published builds: isolated, for every reader, and any number of times in one process."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.cli.alerting import read_open
from pipeline.cli.completion import published_accounts
from pipeline.cli.explain import explain
from pipeline.cli.serving import health
from pipeline.cli.status import read_status
from pipeline.published.metrics import read_metrics
from pipeline.published.report.report_queries import read_snapshot
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.warehouse import reader
from pipeline.warehouse.reader import open_reader, reading
from tests.cli.conftest import Desk

SEALS = {
    "access_mode": "automatic",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "lock_configuration": "true",
    "temp_directory": "",
    "TimeZone": "UTC",
}
COUNT = "SELECT count(*) FROM core.ledger_entries"

READERS: dict[str, Callable[[Home], Any]] = {
    "alerts": read_open,
    "completion": lambda _: published_accounts(""),
    "explain": lambda home: explain(home, "vpsbg-main"),
    "health": lambda home: health(home, datetime.now(UTC) - datetime(2000, 1, 1, tzinfo=UTC)),
    "metrics": lambda home: read_metrics(home.current, datetime.now(UTC)),
    "report": lambda home: read_snapshot(home.current),
    "status": read_status,
}


@pytest.fixture
def home(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Home:
    """The published build, read-only."""
    monkeypatch.setenv("DRAWDOWN_HOME", str(desk.home))
    return Home(desk.home)


def settings_of(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    names = ", ".join(f"'{name}'" for name in SEALS)
    return dict(connection.execute(f"SELECT name, value FROM duckdb_settings() WHERE name IN ({names})").fetchall())


def test_a_build_is_opened_read_only_and_sealed(home: Home) -> None:
    with open_reader(home.current) as connection:
        assert settings_of(connection) == SEALS
        databases = "SELECT database_name, path, readonly FROM duckdb_databases() WHERE NOT internal"
        assert connection.execute(databases).fetchall() == [("drawdown", str(home.current.resolve()), True)]
        # The one restriction that DuckDB does not report: not even its own file may be opened again.
        with pytest.raises(duckdb.PermissionException, match="LocalFileSystem has been disabled"):
            connection.execute("FROM read_blob(?)", [str(home.current.resolve())])


@pytest.mark.parametrize("name", READERS)
def test_every_reader_of_builds_opens_them_that_way(name: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    opened_by: list[str] = []
    connect = duckdb.connect

    def watched(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        opened_by.append(sys._getframe(1).f_code.co_filename)
        return connect(*arguments, **options)

    monkeypatch.setattr(duckdb, "connect", watched)
    assert READERS[name](home)
    assert set(opened_by) == {reader.__file__}


def test_one_build_is_open_twice_in_one_process_with_a_foreign_connection(home: Home) -> None:
    with (
        duckdb.connect(home.current.resolve(), read_only=True) as other,
        open_reader(home.current) as first,
        open_reader(home.current) as second,
    ):
        counts = {connection.execute(COUNT).fetchall()[0][0] for connection in (other, first, second)}
        assert len(counts) == 1
        # Neither affects what the other has open.
        first.execute("CREATE TEMP TABLE own AS SELECT 1")
        with pytest.raises(duckdb.CatalogException):
            second.execute("FROM own")
        assert settings_of(other)["enable_external_access"] == "true"
        first.close()
        assert settings_of(second) == SEALS


def test_threads_read_one_build_side_by_side(home: Home) -> None:
    found: list[object] = []
    ready = threading.Barrier(8)

    def read() -> None:
        ready.wait()
        try:
            found.append(len(read_status(home).accounts))
        except Exception as problem:
            found.append(problem)

    threads = [threading.Thread(target=read) for _ in range(ready.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [len(read_status(home).accounts)] * ready.parties


@pytest.fixture
def folder(home: Home, tmp_path: Path) -> Path:
    """A folder with two copies of the build, and a link to the older one."""
    for name in ("older", "it's newer"):
        shutil.copy(home.current.resolve(), tmp_path / f"{name}.duckdb")
    (tmp_path / "current").symlink_to("older.duckdb")
    return tmp_path


def turn(folder: Path) -> None:
    (folder / "next").symlink_to("it's newer.duckdb")
    (folder / "next").replace(folder / "current")
    (folder / "older.duckdb").unlink()


def test_a_build_that_is_pruned_while_it_is_opened_gives_way_to_the_newest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = duckdb.connect

    def late(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        if (folder / "older.duckdb").exists():
            turn(folder)
        return connect(*arguments, **options)

    monkeypatch.setattr(duckdb, "connect", late)
    with open_reader(folder / "current") as connection:
        assert connection.execute("SELECT path FROM duckdb_databases() WHERE NOT internal").fetchall() == [
            (str(folder / "it's newer.duckdb"),)
        ]


def test_a_build_that_is_open_stays_whole_when_it_is_pruned(folder: Path) -> None:
    with open_reader(folder / "current") as connection:
        turn(folder)
        assert connection.execute(COUNT).fetchall()[0][0] > 0


def test_an_unreadable_or_outdated_file_is_one_line(folder: Path) -> None:
    build = folder / "older.duckdb"
    other = r"older\.duckdb was published by another version of Drawdown \(.*gone.*\); `drawdown run` makes a new build"
    for query in ("FROM core.gone", "SELECT gone FROM core.accounts"):
        with pytest.raises(DrawdownError, match=other), reading(build) as connection:
            connection.execute(query)
    unread = r"cannot be read: Conversion Error: .*`drawdown rebuild` recreates it"
    with pytest.raises(DrawdownError, match=unread) as caught, reading(build) as connection:
        connection.execute("SELECT 'a'::INTEGER").fetchall()
    assert "\n" not in str(caught.value)
    build.write_bytes(os.urandom(8192))
    with pytest.raises(DrawdownError, match=r"cannot be opened: .*`drawdown rebuild` recreates it"), reading(build):
        pass
