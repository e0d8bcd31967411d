"""Parquet copies of a published build, in a folder beside its file.

`published/parquet` is a symlink to the newest folder, so the files of one path are always of one build. A table is one
file, `<schema>.<table>.parquet`; one that is published by month (`Table.published_by`) is a folder of that name with a
file for each month, which libraries open like a file. Files without changes are hard links to those of the build
before.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from pipeline.models.month_ranges import in_months
from pipeline.published.build_record import ALL_ROWS, read_record
from pipeline.published.incremental import copy_file
from pipeline.published.snapshot import turn
from pipeline.schema.render import quoted
from pipeline.schema.tables import Table
from pipeline.support.duckdb_session import set_session
from pipeline.support.home import Home, private_folder, sync_folder

_FOLDER: Final = "parquet"
_EMPTY: Final = "empty"
"""Name of the file that gives the columns of a table by month without rows."""


@dataclass(slots=True)
class ParquetFiles:
    """The Parquet files of a build."""

    written: list[Path] = field(default_factory=list)
    linked: list[Path] = field(default_factory=list)
    """Files that were there already: those of the build before that have not changed."""


def publish_parquet(build: Path, home: Home, tables: Sequence[Table]) -> ParquetFiles:
    """Write the tables of a published build as Parquet files, and switch `published/parquet` to them.

    Raises duckdb.Error or OSError; readers then keep the files that they have.
    """
    folder, new = build.parent / _FOLDER, build.parent / f"{_FOLDER}.tmp"
    if folder.is_dir():
        # A build does not change, and neither do its files.
        _switch(home, folder)
        return ParquetFiles(linked=[path for path in sorted(folder.rglob("*.parquet")) if path.is_file()])
    record = read_record(build)
    before = build.parents[1] / record.base / _FOLDER if record and record.base else None
    shutil.rmtree(new, ignore_errors=True)
    private_folder(new)
    files = ParquetFiles()
    # A separate connection reads the published file, so that the Parquet files have what readers get.
    with duckdb.connect(build, read_only=True) as connection:
        set_session(connection)
        for table in tables:
            rewritten = record.rewritten.get(table.full_name, []) if record and before and before.is_dir() else None
            if table.published_by:
                _write_months(connection, table, new, before, rewritten, files)
            elif rewritten == [] and before is not None:
                _link(before / _file(table), new / _file(table), files)
            else:
                _copy(connection, table, "true", new / _file(table), files)
    for each in {new, *(path.parent for path in (*files.written, *files.linked))}:
        sync_folder(each)
    new.rename(folder)
    sync_folder(build.parent)
    _switch(home, folder)
    written, linked = ([folder / path.relative_to(new) for path in found] for found in (files.written, files.linked))
    return ParquetFiles(written, linked)


def _file(table: Table) -> str:
    return f"{table.full_name}.parquet"


def _write_months(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    new: Path,
    before: Path | None,
    rewritten: list[str] | None,
    files: ParquetFiles,
) -> None:
    """Write the months that differ, every month if `rewritten` is None, and link the others."""
    folder = private_folder(new / _file(table))
    rows = connection.execute(
        f"SELECT DISTINCT CAST(date_trunc('month', {table.published_by}) AS DATE) FROM {table.full_name}"
    ).fetchall()
    months: dict[str, date] = {f"{month:%Y-%m}": month for (month,) in sorted(rows)}
    for name, month in months.items():
        path = folder / f"{name}.parquet"
        if rewritten is None or before is None or name in rewritten or rewritten == ALL_ROWS:
            _copy(connection, table, in_months(table, [month]), path, files)
        else:
            _link(before / _file(table) / path.name, path, files)
    if not months:
        _copy(connection, table, "false", folder / f"{_EMPTY}.parquet", files)


def _copy(connection: duckdb.DuckDBPyConnection, table: Table, where: str, path: Path, files: ParquetFiles) -> None:
    connection.execute(
        f"COPY (SELECT * FROM {table.full_name} WHERE {where}) TO {quoted(str(path))} "
        "(FORMAT parquet, COMPRESSION zstd)"
    )
    path.chmod(0o600)
    with path.open("rb") as written:
        os.fsync(written.fileno())
    files.written.append(path)


def _link(source: Path, path: Path, files: ParquetFiles) -> None:
    try:
        os.link(source, path)
    except FileNotFoundError:
        raise
    except OSError:
        # Some file systems have no links, or not so many.
        copy_file(source, path)
    files.linked.append(path)


def _switch(home: Home, folder: Path) -> None:
    """Switch `published/parquet` to a folder; earlier versions kept the files there themselves."""
    old = home.parquet.with_name(f".{home.parquet.name}.old")
    if home.parquet.is_dir() and not home.parquet.is_symlink():
        home.parquet.rename(old)
    turn(home.parquet, folder)
    shutil.rmtree(old, ignore_errors=True)
