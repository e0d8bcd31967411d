"""The published DuckDB file.

A build is written to a new file, closed and synced, and only then does the symlink `current.duckdb` change to it: a
reader with the old file open keeps it complete for as long as it is open. A build is an updated copy of the previous
one (`pipeline.published.incremental`), or is written whole.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from pipeline.models.quarantine import last_published, quarantined, view_rows
from pipeline.models.unpublished import forget_build, record_build
from pipeline.published.build_record import BUILD_FORMAT, BuildRecord, layout_hash, write_record
from pipeline.published.incremental import Doubtful, build_file, find_base, update_copy, write_tables
from pipeline.schema.render import comments, create_table
from pipeline.schema.tables import Table
from pipeline.support.clock import FetchIds
from pipeline.support.duckdb_session import transaction
from pipeline.support.errors import first_line
from pipeline.support.home import BUILD_FILE, Home, build_id, private_folder, sync_folder

KEPT_VERSIONS: Final = 3
"""Builds that are kept in published/versions; older ones are deleted."""

_BUILD_NAME = re.compile(r"[0-9a-f]{16}")
"""A build's folder."""


@dataclass(frozen=True, slots=True)
class Build:
    """A published build."""

    path: Path
    table_rows: dict[str, int]
    size_bytes: int
    record: BuildRecord
    why_whole: str | None
    """Why it was written whole; None for an updated copy of the previous build."""


def publish(connection: duckdb.DuckDBPyConnection, home: Home, tables: Sequence[Table]) -> Build:
    """Write the tables of the warehouse to a new published file, and switch `current.duckdb` to it.

    The warehouse records the build last, so if the process dies or fails before that, the next build is written whole.
    Raises duckdb.Error or OSError (such as a full disk); readers then keep their build.
    """
    versions = private_folder(home.published / "versions")
    path = private_folder(versions / FetchIds().draw()) / BUILD_FILE
    try:
        rows, record, why_whole = _written(connection, home, path, tuple(tables))
        write_record(path, record)
    except BaseException:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise
    sync_folder(versions)
    turn(home.current, path)
    prune(home, keep=path.parent)
    # Quarantined accounts have rows of the build before in it, and tables that its next ones cannot follow from.
    if not quarantined(connection):
        with transaction(connection):
            record_build(connection, build_id(path))
    return Build(path, rows, path.stat().st_size, record, why_whole)


def _written(
    connection: duckdb.DuckDBPyConnection, home: Home, path: Path, tables: tuple[Table, ...]
) -> tuple[dict[str, int], BuildRecord, str | None]:
    """Write a build: row counts, its record, and why it was written whole, if it was."""
    layout = layout_hash(tables)
    try:
        if quarantined(connection):
            raise Doubtful("an account is in quarantine")
        base, base_record = find_base(connection, home, layout)
        forget_build(connection)
        with _new_file(path) as temporary:
            rows, rewritten = update_copy(connection, base, temporary, tables)
    except (Doubtful, duckdb.Error, OSError) as doubt:
        why_whole = first_line(doubt)
    else:
        size = base_record.whole_bytes
        return rows, BuildRecord(layout=layout, whole_bytes=size, base=build_id(base), rewritten=rewritten), None
    forget_build(connection)
    rows = write_build(connection, path, tables, current=home.current)
    return rows, BuildRecord(layout=layout, whole_bytes=path.stat().st_size), why_whole


def write_build(
    connection: duckdb.DuckDBPyConnection, path: Path, tables: Sequence[Table], *, current: Path | None = None
) -> dict[str, int]:
    """Copy tables out of the warehouse into a new file, completely or not at all; returns each table's row count.

    Views get the rows of quarantined accounts from the build `current`, if there is one.

    Raises duckdb.Error or OSError (such as a full disk).
    """
    with _new_file(path) as temporary, last_published(connection, current) as last:
        return _write(connection, temporary, tables, last)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """Yield the path for a file that DuckDB writes: it becomes `path` once it is closed and synced, or is removed."""
    temporary = path.with_name(path.name + ".tmp")
    log = temporary.with_name(temporary.name + ".wal")
    previous = os.umask(0o077)
    try:
        yield temporary
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


def _write(
    connection: duckdb.DuckDBPyConnection, path: Path, tables: Sequence[Table], last: str | None
) -> dict[str, int]:
    def write(table: Table) -> int:
        name = f"build.{table.full_name}"
        columns = ", ".join(table.column_names)
        connection.execute(create_table(table, name))
        copied = connection.execute(f"INSERT INTO {name} ({columns}) {view_rows(connection, table, last)}")
        rows = int(copied.fetchall()[0][0])
        for comment in comments(table, name):
            connection.execute(comment)
        return rows

    with build_file(connection, path, f"({BUILD_FORMAT})"):
        for schema in dict.fromkeys(table.layer for table in tables):
            connection.execute(f"CREATE SCHEMA build.{schema}")
        return write_tables(connection, tables, write)


def turn(link: Path, target: Path) -> None:
    """Switch a symlink in `published/` to a file or folder below it. Raises OSError."""
    temporary = link.with_name(f".{link.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target.relative_to(link.parent))
    temporary.replace(link)
    sync_folder(link.parent)


def prune(home: Home, keep: Path) -> None:
    """Delete older builds, but none that the symlinks of the state folder lead to."""
    builds = []
    kept = {keep, *(link.resolve().parent for link in (home.current, home.parquet, home.focus) if link.is_symlink())}
    for path in sorted((home.published / "versions").iterdir()):
        # Remains of a killed run are not a build.
        if _BUILD_NAME.fullmatch(path.name) and (path / BUILD_FILE).exists():
            builds.append(path)
        else:
            _remove(path)
    for path in builds[:-KEPT_VERSIONS]:
        if path.resolve() not in kept:
            _remove(path)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
