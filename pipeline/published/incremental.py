"""A build made from the previous one: a copy of its file in which only the changed months and tables are written again.

The result equals a whole build by the checksum of every table. Whatever casts doubt on that is a reason for a whole
one: `Doubtful`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import duckdb

from pipeline.models.month_ranges import in_months
from pipeline.models.unpublished import published_build, unpublished_months
from pipeline.published.build_record import ALL_ROWS, BuildRecord, read_record
from pipeline.schema.render import quoted
from pipeline.schema.tables import Table
from pipeline.support.duckdb_session import transaction
from pipeline.support.home import Home, build_id

_Written = TypeVar("_Written")

_LARGEST_GROWTH: Final = 1.5
"""File size, compared with the last whole build, beyond which a build is written whole again. Space that changed rows
leave is reused but never returned, and rows are stored in the order of their changes, so readers scan more of them."""
_SLACK_BYTES: Final = 2**25
"""What a file of any size may grow beyond that: in each changed table, every column takes a block of 256 KiB, and these
are reused only by the next build but one. Measured: 7 to 18 MB."""

_TABLES_AT_ONCE: Final = 4
"""Tables written in one transaction: DuckDB keeps a block of 256 KiB for each of their columns in memory until its end.
Nobody reads the file before it is complete."""

_CHUNK_BYTES: Final = 2**30
_NOT_SUPPORTED: Final = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
"""Errors of `copy_file_range` where the kernel or the file system lacks it."""


class Doubtful(Exception):
    """A build cannot safely be made from the previous one; the message says why."""


def find_base(connection: duckdb.DuckDBPyConnection, home: Home, layout: str) -> tuple[Path, BuildRecord]:
    """The current build and its record, if the warehouse's changes since it are known.

    Raises Doubtful otherwise.
    """
    known = published_build(connection)
    if known is None:
        raise Doubtful("the warehouse records no build that it differs from in known months")
    path = home.current.resolve()
    if not path.is_file() or build_id(path) != known:
        raise Doubtful(f"{home.current.name} is not build {known}, which the warehouse records")
    record = read_record(path)
    if record is None or record.layout != layout:
        raise Doubtful("the last build has other tables, or another version made it")
    size = path.stat().st_size
    if size > _LARGEST_GROWTH * record.whole_bytes + _SLACK_BYTES:
        raise Doubtful(f"the file has grown to {size / record.whole_bytes:.1f} times its size when written whole")
    return path, record


def update_copy(
    connection: duckdb.DuckDBPyConnection, base: Path, path: Path, tables: Sequence[Table]
) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Copy a build to a new file and write the changes of the warehouse into it.

    Returns each table's row count, and what was rewritten, as in `BuildRecord.rewritten`. Raises Doubtful if a table
    does not have the warehouse's number of rows then, and duckdb.Error or OSError, such as for a full disk.
    """
    copy_file(base, path)
    with build_file(connection, path):
        months = write_tables(connection, tables, lambda table: _rewrite(connection, table))
        rows = _row_counts(connection, tables)
    return rows, {name: written for name, written in months.items() if written}


@contextlib.contextmanager
def build_file(connection: duckdb.DuckDBPyConnection, path: Path, options: str = "") -> Iterator[None]:
    """Attach a file as `build` while the block writes into it."""
    connection.execute(f"ATTACH {quoted(str(path))} AS build {options}")
    try:
        yield
    finally:
        connection.execute("DETACH build")


def write_tables(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[Table], write: Callable[[Table], _Written]
) -> dict[str, _Written]:
    """Call `write` for each table of the attached build, and return the results by full name."""
    written: dict[str, _Written] = {}
    for first in range(0, len(tables), _TABLES_AT_ONCE):
        few = tables[first : first + _TABLES_AT_ONCE]
        with transaction(connection):
            written |= {table.full_name: write(table) for table in few}
        connection.execute("CHECKPOINT build")
    return written


def _rewrite(connection: duckdb.DuckDBPyConnection, table: Table) -> list[str]:
    """Replace the rows that may differ; returns the months, or `all`, and nothing for a table without changes."""
    name, columns = table.full_name, ", ".join(table.column_names)
    if table.published_by:
        months = unpublished_months(connection, table)
        where = in_months(table, months)
        written = [f"{month:%Y-%m}" for month in months]
    else:
        where = "true" if _differs(connection, table) else ""
        written = ALL_ROWS if where else []
    if where:
        connection.execute(f"DELETE FROM build.{name} WHERE {where}")
        connection.execute(f"INSERT INTO build.{name} ({columns}) SELECT {columns} FROM {name} WHERE {where}")
    return written


def _differs(connection: duckdb.DuckDBPyConnection, table: Table) -> bool:
    """Whether a table has other rows in the warehouse. No row occurs twice, because no key does."""
    name, columns = table.full_name, ", ".join(table.column_names)
    [(differs,)] = connection.execute(
        f"""
        SELECT (SELECT count(*) FROM {name}) <> (SELECT count(*) FROM build.{name})
            OR EXISTS (SELECT {columns} FROM {name} EXCEPT SELECT {columns} FROM build.{name})
        """
    ).fetchall()
    return bool(differs)


def _row_counts(connection: duckdb.DuckDBPyConnection, tables: Sequence[Table]) -> dict[str, int]:
    """Rows of each table. Raises Doubtful if the warehouse has another number: a change was not noted."""
    counts = ", ".join(
        f"(SELECT count(*) FROM {table.full_name}), (SELECT count(*) FROM build.{table.full_name})" for table in tables
    )
    [row] = connection.execute(f"SELECT {counts}").fetchall()
    found = {}
    for table, wanted, written in zip(tables, row[::2], row[1::2], strict=True):
        if wanted != written:
            raise Doubtful(f"{table.full_name} has {wanted} rows, and {written} in an update of the last build")
        found[table.full_name] = int(written)
    return found


def copy_file(source: Path, target: Path) -> None:
    """Copy a file for the owner only: within the kernel, or sharing its blocks, where the file system can.

    Raises OSError; FileExistsError if the target exists.
    """
    with source.open("rb") as old, open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
        left = os.fstat(old.fileno()).st_size
        try:
            while left > 0 and (copied := os.copy_file_range(old.fileno(), new.fileno(), min(left, _CHUNK_BYTES))):
                left -= copied
        except OSError as problem:
            if problem.errno not in _NOT_SUPPORTED:
                raise
        if left:
            old.seek(os.lseek(new.fileno(), 0, os.SEEK_END))
            shutil.copyfileobj(old, new, 2**20)
