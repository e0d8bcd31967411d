"""Folders of files made from a build, such as its Parquet files, in the build's own folder.

A symlink in `published/` leads to the newest, so the files of one path are always of one build. Files without changes
are hard links to those of the build before, and FOCUS's Parquet files are hard links to the tables' own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, cast

import duckdb

from pipeline.lake.lake_of_build import lake_of
from pipeline.models.month_ranges import day_of, in_months
from pipeline.published.build_record import ALL_ROWS, BuildRecord, read_record
from pipeline.published.incremental import copy_file
from pipeline.published.snapshot import turn
from pipeline.schema.render import quoted
from pipeline.schema.tables import Table
from pipeline.support.calendar_months import next_month
from pipeline.support.duckdb_session import set_session
from pipeline.support.home import private_folder, sync_folder

_EMPTY: Final = "empty"
"""Name of the file that gives the columns of a table by month without rows."""


@dataclass(slots=True)
class BuildFiles:
    """Files of a build while they are made; paths are relative to their folder."""

    folder: Path
    """Folder to write to."""
    before: Path | None
    """Folder of the same files of the build before, if there is one."""
    record: BuildRecord | None
    written: list[Path] = field(default_factory=list)
    linked: list[Path] = field(default_factory=list)
    """Files that were there already: those of the build before that have not changed."""

    def reuse(self, table: Table, path: Path, month: str | None = None) -> bool:
        """Link a file of a table, or of one of its months, if its rows are those of the build before."""
        if self.before is None or self.record is None:
            return False
        rewritten = self.record.rewritten.get(table.full_name, [])
        if rewritten == ALL_ROWS or month in rewritten or (rewritten and month is None):
            return False
        if not self._link(self.before / path, path):
            return False
        self.linked.append(path)
        return True

    def share(self, path: Path, existing: Path) -> bool:
        """Link a file to an `existing` one of the same build with the same contents, if there is one."""
        if not self._link(existing, path):
            return False
        self.written.append(path)
        return True

    def months_of(self, connection: duckdb.DuckDBPyConnection, table: Table, folder: Path) -> list[tuple[str, str]]:
        """Months of a table that is published by month: the name of each one's file, and the condition for its rows.

        `folder` is the table's: the months that have not changed are those of the build before.
        """
        rewritten = self.record.rewritten.get(table.full_name, []) if self.record else ALL_ROWS
        before = {path.stem for path in (self.before / folder).glob("*.parquet")} if self.before else set()
        if before and rewritten != ALL_ROWS:
            changed = _months_with_rows(connection, table, rewritten)
            months = sorted((before - {_EMPTY, *rewritten}).union(changed))
        else:
            months = _months_with_rows(connection, table, _all_months(connection, table))
        return [(month, _in_month(table, month)) for month in months] or [(_EMPTY, "false")]

    def _link(self, existing: Path, path: Path) -> bool:
        if not existing.is_file():
            return False
        target = self.folder / path
        private_folder(target.parent)
        try:
            os.link(existing, target)
        except OSError:
            # Some file systems have no links, or not so many.
            copy_file(existing, target)
        return True

    def new(self, path: Path) -> Path:
        """Path to write a file to."""
        private_folder((self.folder / path).parent)
        self.written.append(path)
        return self.folder / path

    def sync(self) -> None:
        """Make the files durable, and readable for their owner only."""
        for path in self.written:
            (self.folder / path).chmod(0o600)
            with (self.folder / path).open("rb") as written:
                os.fsync(written.fileno())
        for folder in {self.folder, *((self.folder / path).parent for path in (*self.written, *self.linked))}:
            sync_folder(folder)


@contextlib.contextmanager
def files_of_build(build: Path, link: Path) -> Iterator[BuildFiles | None]:
    """Yield the files of a build to be made, and switch the symlink `link` in `published/` to them.

    Yields None if they are there already: a build does not change. Raises OSError; readers then keep the files that
    they have.
    """
    folder = build.parent / link.name
    if folder.is_dir():
        yield None
    else:
        new = build.parent / f"{link.name}.tmp"
        shutil.rmtree(new, ignore_errors=True)
        record = read_record(build)
        before = build.parents[1] / record.base / link.name if record and record.base else None
        files = BuildFiles(private_folder(new), before if before and before.is_dir() else None, record)
        yield files
        files.sync()
        new.rename(folder)
        sync_folder(build.parent)
    # Earlier versions kept the files there themselves.
    old = link.with_name(f".{link.name}.old")
    if link.is_dir() and not link.is_symlink():
        link.rename(old)
    turn(link, folder)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def reader_of_build(build: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a published file for `run_all`. What is exported is what readers get, so the warehouse is not read."""
    lake = lake_of(build)
    with duckdb.connect(build, read_only=True) as connection:
        if lake is not None:
            connection.register_filesystem(cast("Any", lake))
        set_session(connection)
        # A file of a month has few groups of rows, so a second thread of DuckDB only waits, which costs CPU time too.
        connection.execute("SET threads = 1")
        yield connection


def run_all(
    connection: duckdb.DuckDBPyConnection, work: Sequence[Callable[[duckdb.DuckDBPyConnection], object]]
) -> None:
    """Write files, one for each core at a time, each with a connection of its own. Raises the first error."""
    if not work:
        return
    with ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="files") as writers:
        for done in [writers.submit(_with_cursor, connection, each) for each in work]:
            done.result()


def _with_cursor(connection: duckdb.DuckDBPyConnection, work: Callable[[duckdb.DuckDBPyConnection], object]) -> None:
    with connection.cursor() as cursor:
        set_session(cursor)
        work(cursor)


def copy_rows(connection: duckdb.DuckDBPyConnection, table: Table, where: str, path: Path) -> None:
    """Write rows of a table to a Parquet file, in the order of `Table.order`, if it has one. Raises duckdb.Error."""
    order = f"ORDER BY {', '.join(table.order)}" if table.order else ""
    connection.execute(
        f"COPY (FROM {table.full_name} WHERE {where} {order}) TO {quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)"
    )


def _months_with_rows(connection: duckdb.DuckDBPyConnection, table: Table, months: Iterable[str]) -> list[str]:
    """Those of some months in which a table has rows."""
    wanted = list(months)
    # DuckDB skips the rows of other months, and stops at the first of this one.
    exist = (f"EXISTS (SELECT 1 FROM {table.full_name} WHERE {_in_month(table, month)})" for month in wanted)
    (found,) = connection.execute(f"SELECT {', '.join(exist)}").fetchall() if wanted else [()]
    return [month for month, has_rows in zip(wanted, found, strict=True) if has_rows]


def _all_months(connection: duckdb.DuckDBPyConnection, table: Table) -> list[str]:
    """The months from the first row of a table to its last."""
    ends = ", ".join(day_of(table, f"{end}({table.published_by})") for end in ("min", "max"))
    ((first, last),) = connection.execute(f"SELECT {ends} FROM {table.full_name}").fetchall()
    months: list[str] = []
    month = first and first.replace(day=1)
    while month and month <= last:
        months.append(f"{month:%Y-%m}")
        month = next_month(month)
    return months


def _in_month(table: Table, month: str) -> str:
    """Condition for the rows of a month."""
    return in_months(table, [date.fromisoformat(f"{month}-01")])
