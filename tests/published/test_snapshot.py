"""Paths and names of builds, and which of them are kept."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from pipeline.published.snapshot import KEPT_VERSIONS, publish
from pipeline.schema.render import create_table
from pipeline.schema.tables import ALL
from pipeline.support.home import Home
from tests.published.builds import note_taking

TABLES = [ALL["marts.build_info"]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def warehouse() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("create schema marts")
    connection.execute(create_table(TABLES[0], "marts.build_info"))
    note_taking(connection)
    return connection


def _builds(home: Home) -> list[str]:
    return sorted(path.name for path in (home.published / "versions").iterdir())


def test_the_catalog_has_the_same_name_in_each_build(home: Home, warehouse: duckdb.DuckDBPyConnection) -> None:
    paths = set()
    for _ in range(2):
        paths.add(publish(warehouse, home, TABLES).path)
        with duckdb.connect(home.current, read_only=True) as build:
            assert build.execute("select current_database()").fetchall() == [("drawdown",)]
            assert build.execute("select count(*) from drawdown.marts.build_info").fetchall() == [(0,)]
    assert len(paths) == 2


def test_a_build_is_for_its_owner_only(home: Home, warehouse: duckdb.DuckDBPyConnection) -> None:
    path = publish(warehouse, home, TABLES).path

    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_the_last_builds_are_kept_and_other_files_removed(home: Home, warehouse: duckdb.DuckDBPyConnection) -> None:
    versions = home.published / "versions"
    versions.mkdir(parents=True)
    (versions / "0000000000000001.duckdb").write_bytes(b"")
    # Remains of a killed run.
    half = versions / "0000000000000003"
    half.mkdir()
    (half / "drawdown.duckdb.tmp").write_bytes(b"")

    first, second, third = (publish(warehouse, home, TABLES).path.parent.name for _ in range(KEPT_VERSIONS))

    assert _builds(home) == [first, second, third]
    assert home.current.resolve().parent.name == third


def test_the_current_build_stays_when_the_clock_went_back(home: Home, warehouse: duckdb.DuckDBPyConnection) -> None:
    versions = home.published / "versions"
    for number in range(KEPT_VERSIONS):
        later = versions / f"{'f' * 15}{number}"
        later.mkdir(parents=True)
        (later / "drawdown.duckdb").write_bytes(b"")

    path = publish(warehouse, home, TABLES).path

    assert home.current.resolve() == path
    assert path.exists()


def test_a_build_that_fails_leaves_nothing(home: Home, warehouse: duckdb.DuckDBPyConnection) -> None:
    before = publish(warehouse, home, TABLES).path
    warehouse.execute("drop table marts.build_info")

    with pytest.raises(duckdb.Error):
        publish(warehouse, home, TABLES)

    assert _builds(home) == [before.parent.name]
    assert home.current.resolve() == before
