"""The published DuckDB file and its Parquet copies.

A build is written to a new file, closed and synced, and only then does the symlink `current.duckdb` change to it: a
reader with the old file open keeps it complete for as long as it is open.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from pipeline.models.quarantine import last_published, view_rows
from pipeline.schema.render import comments, create_table, quoted
from pipeline.schema.tables import Table
from pipeline.support.clock import FetchIds
from pipeline.support.duckdb_session import set_session
from pipeline.support.home import BUILD_FILE, Home, atomic_file, private_folder, sync_folder

KEPT_VERSIONS: Final = 3
"""Builds that are kept in published/versions; older ones are deleted."""

# The oldest storage version that all current clients can read, and the only block size that old ones can: BI tools lag
# behind the newest DuckDB.
_BUILD_FORMAT = "STORAGE_VERSION 'v1.0.0', BLOCK_SIZE 262144"
_BUILD_NAME = re.compile(r"[0-9a-f]{16}")
"""A build's folder."""


@dataclass(frozen=True, slots=True)
class Build:
    """A published build."""

    path: Path
    table_rows: dict[str, int]
    size_bytes: int


def publish(connection: duckdb.DuckDBPyConnection, home: Home, tables: Sequence[Table]) -> Build:
    """Copy tables out of the warehouse into a new published file, and switch `current.duckdb` to it.

    Raises duckdb.Error or OSError (such as a full disk); readers then keep their build.
    """
    versions = private_folder(home.published / "versions")
    path = private_folder(versions / FetchIds().draw()) / BUILD_FILE
    try:
        rows = write_build(connection, path, tables, current=home.current)
    except BaseException:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise
    sync_folder(versions)
    _turn(home.current, path)
    _prune(versions, keep=path.parent)
    return Build(path=path, table_rows=rows, size_bytes=path.stat().st_size)


def write_build(
    connection: duckdb.DuckDBPyConnection, path: Path, tables: Sequence[Table], *, current: Path | None = None
) -> dict[str, int]:
    """Copy tables out of the warehouse into a new file, completely or not at all; returns each table's row count.

    Views get the rows of quarantined accounts from the build `current`, if there is one.

    Raises duckdb.Error or OSError (such as a full disk).
    """
    temporary = path.with_name(path.name + ".tmp")
    log = temporary.with_name(temporary.name + ".wal")
    previous = os.umask(0o077)
    try:
        with last_published(connection, current) as last:
            rows = _write(connection, temporary, tables, last)
        if log.exists():
            raise OSError(f"{temporary} was closed with a write-ahead log beside it")
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.rename(path)
        sync_folder(path.parent)
    finally:
        os.umask(previous)
        temporary.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
    return rows


def _write(
    connection: duckdb.DuckDBPyConnection, path: Path, tables: Sequence[Table], last: str | None
) -> dict[str, int]:
    connection.execute(f"ATTACH {quoted(str(path))} AS build ({_BUILD_FORMAT})")
    try:
        connection.execute("BEGIN TRANSACTION")
        rows = {}
        for schema in dict.fromkeys(table.layer for table in tables):
            connection.execute(f"CREATE SCHEMA build.{schema}")
        for table in tables:
            name = f"build.{table.full_name}"
            columns = ", ".join(table.column_names)
            connection.execute(create_table(table, name))
            copied = connection.execute(f"INSERT INTO {name} ({columns}) {view_rows(connection, table, last)}")
            rows[table.full_name] = int(copied.fetchall()[0][0])
            for comment in comments(table, name):
                connection.execute(comment)
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT build")
    except BaseException:
        connection.execute("ROLLBACK") if _in_transaction(connection) else None
        raise
    finally:
        connection.execute("DETACH build")
    return rows


def _in_transaction(connection: duckdb.DuckDBPyConnection) -> bool:
    try:
        connection.execute("BEGIN TRANSACTION")
    except duckdb.TransactionException:
        return True
    connection.execute("ROLLBACK")
    return False


def _turn(link: Path, target: Path) -> None:
    temporary = link.with_name(f".{link.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.relative_to(link.parent))
    temporary.replace(link)
    sync_folder(link.parent)


def _prune(versions: Path, keep: Path) -> None:
    builds = []
    for path in sorted(versions.iterdir()):
        # Remains of a killed run are not a build.
        if _BUILD_NAME.fullmatch(path.name) and (path / BUILD_FILE).exists():
            builds.append(path)
        else:
            _remove(path)
    for path in builds[:-KEPT_VERSIONS]:
        if path != keep:
            _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def publish_parquet(build: Path, home: Home, tables: Sequence[Table]) -> list[Path]:
    """Write each table of a published build to `published/parquet/<schema>.<table>.parquet`.

    Each file is replaced whole; read several of one build through `current.duckdb` where that matters.
    """
    folder = private_folder(home.published / "parquet")
    written = []
    # A separate connection reads the published file, so that the Parquet files have what readers get.
    with duckdb.connect(build, read_only=True) as connection:
        set_session(connection)
        for table in tables:
            path = folder / f"{table.full_name}.parquet"
            with atomic_file(path) as temporary:
                connection.execute(
                    f"COPY {table.full_name} TO {quoted(str(temporary))} (FORMAT parquet, COMPRESSION zstd)"
                )
            written.append(path)
    wanted = {path.name for path in written}
    for stale in folder.glob("*.parquet"):
        if stale.name not in wanted:
            stale.unlink()
    return written
