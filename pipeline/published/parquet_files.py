"""Parquet copies of a published build: `published/parquet/<schema>.<table>.parquet`.

A table is one file; one that is published by month (`Table.published_by`) is a folder with a file for each month, which
libraries open like a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from pipeline.published.build_files import BuildFiles, files_of_build, months_of
from pipeline.schema.render import quoted
from pipeline.schema.tables import Table
from pipeline.support.duckdb_session import set_session
from pipeline.support.home import Home


def publish_parquet(build: Path, home: Home, tables: Sequence[Table]) -> BuildFiles | None:
    """Write the tables of a published build as Parquet files, and switch `published/parquet` to them.

    Returns None if they were there already. Raises duckdb.Error or OSError; readers then keep the files that they have.
    """
    with files_of_build(build, home.parquet) as files:
        if files is None:
            return None
        # A separate connection reads the published file, so that the Parquet files have what readers get.
        with duckdb.connect(build, read_only=True) as connection:
            set_session(connection)
            for table in tables:
                path = Path(f"{table.full_name}.parquet")
                if not table.published_by:
                    if not files.reuse(table, path):
                        _copy(connection, table, "true", files.new(path))
                    continue
                for month, where in months_of(connection, table):
                    if not files.reuse(table, path / f"{month}.parquet", month):
                        _copy(connection, table, where, files.new(path / f"{month}.parquet"))
    return files


def _copy(connection: duckdb.DuckDBPyConnection, table: Table, where: str, path: Path) -> None:
    connection.execute(
        f"COPY (SELECT * FROM {table.full_name} WHERE {where}) TO {quoted(str(path))} "
        "(FORMAT parquet, COMPRESSION zstd)"
    )
