"""A build of the lake as a small DuckDB file, whose views read the build's Parquet files.

It looks like a published build: the same schemas, tables, columns in order, types and comments. BI tools that open it
in DuckDB read `file://` files as they are, and `s3://` ones with DuckDB's httpfs extension and a secret of their own.

Drawdown's own readers (`pipeline.warehouse.reader`) need neither: they give DuckDB the storage as a read-only file
system (`ReadOnlyFiles`), and close every other. So no key ever is in DuckDB, nothing is downloaded, and no statement
can write, which an allowed folder (`allowed_directories`) would permit. Measured on twelve million rows in 60 local
files, a grouped sum took 1.2 to 1.6 times as long as with DuckDB's own file system, and 2 to 3 times as long through
PyArrow's datasets.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import msgspec

from pipeline.lake.build_pointers import BuildPointer, LakeOf
from pipeline.lake.iceberg_schema import layout_of
from pipeline.lake.lake_of_build import LAKE_FILE
from pipeline.lake.object_store import ObjectStore
from pipeline.schema.render import comments, quoted
from pipeline.schema.tables import Table
from pipeline.support.duckdb_session import set_session
from pipeline.support.errors import DrawdownError, first_line
from pipeline.support.home import atomic_file


def write_view_file(
    pointer: BuildPointer, store: ObjectStore, tables: Sequence[Table], path: Path, *, options: str = ""
) -> None:
    """Write a DuckDB file with a view for each table of a build, and `lake.json` beside it, completely or not at all.

    `tables` are the published tables, and `options` those of ATTACH for a new file, without parentheses. Raises
    DrawdownError for a build with other tables or columns, and if the storage fails; OSError or duckdb.Error for the
    file.
    """
    from pipeline.lake.read_only_files import ReadOnlyFiles

    for table in tables:
        version = pointer.tables.get(table.full_name)
        if version is None or version.layout != layout_of(table):
            raise DrawdownError(
                f"build {pointer.build_id} was made by another version of Drawdown, with another {table.full_name}; "
                "`drawdown run` makes a new build"
            )
    with atomic_file(path.with_name(LAKE_FILE)) as temporary:
        temporary.write_bytes(msgspec.json.encode(LakeOf(store.url, pointer.build_id)))
    with atomic_file(path) as temporary, duckdb.connect(":memory:") as connection:
        temporary.unlink()
        set_session(connection)
        connection.register_filesystem(ReadOnlyFiles(store, pointer.files))
        connection.execute(f"ATTACH {quoted(str(temporary))} AS build {f'({options})' if options else ''}")
        try:
            connection.execute("USE build")
            for schema in dict.fromkeys(table.layer for table in tables):
                connection.execute(f"CREATE SCHEMA {schema}")
            for table in tables:
                files = [store.location(file.key) for file in pointer.tables[table.full_name].files]
                connection.execute(f"CREATE VIEW {table.full_name} AS {rows_of_files(table, files)}")
                for comment in comments(table, kind="VIEW"):
                    connection.execute(comment)
        except duckdb.IOException as problem:
            raise DrawdownError(f"build {pointer.build_id} cannot be read: {first_line(problem)}") from None
        finally:
            connection.execute("USE memory")
            connection.execute("DETACH build")


def rows_of_files(table: Table, locations: Sequence[str]) -> str:
    """SELECT of a table's rows in Parquet files, given by their URLs; without files it has no rows."""
    if locations:
        columns = ", ".join(table.column_names)
        return f"SELECT {columns} FROM read_parquet([{', '.join(map(quoted, locations))}], hive_partitioning = false)"
    nulls = ", ".join(f"CAST(NULL AS {column.column.type}) AS {column.name}" for column in table.columns)
    return f"SELECT {nulls} WHERE false"
