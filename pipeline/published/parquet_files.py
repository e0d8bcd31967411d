"""Parquet copies of a published build: `published/parquet/<schema>.<table>.parquet`.

A table is one file; one that is published by month (`Table.published_by`) is a folder with a file for each month, which
libraries open like a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import duckdb

from pipeline.published.build_files import (
    BuildFiles,
    copy_rows,
    files_of_build,
    reader_of_build,
    run_all,
)
from pipeline.schema.tables import Table
from pipeline.support.home import Home


def publish_parquet(build: Path, home: Home, tables: Sequence[Table]) -> BuildFiles | None:
    """Write the tables of a published build as Parquet files, and switch `published/parquet` to them.

    Returns None if they were there already. Raises duckdb.Error or OSError; readers then keep the files that they have.
    """
    with files_of_build(build, home.parquet) as files:
        if files is None:
            return None
        with reader_of_build(build) as connection:
            run_all(connection, list(_unwritten(connection, files, build.parent / home.focus.name, tables)))
    return files


def _unwritten(
    connection: duckdb.DuckDBPyConnection, files: BuildFiles, focus: Path, tables: Sequence[Table]
) -> Iterator[Callable[[duckdb.DuckDBPyConnection], None]]:
    """The work for each file that does not exist yet; those of FOCUS may be in its folder."""
    for table in tables:
        path = Path(f"{table.full_name}.parquet")
        if not table.published_by:
            if not files.reuse(table, path):
                yield partial(copy_rows, table=table, where="true", path=files.new(path))
            continue
        for month, where in files.months_of(connection, table, path):
            part = path / f"{month}.parquet"
            if not (files.reuse(table, part, month) or files.share(part, focus / table.name / part.name)):
                yield partial(copy_rows, table=table, where=where, path=files.new(part))
