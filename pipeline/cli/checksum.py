"""`drawdown checksum`: one checksum for each table of a build, for comparison with another build."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from pipeline.cli.terminal import show_rows, write_json
from pipeline.schema.checksums import PER_BUILD_COLUMNS, PER_BUILD_TABLES, checksum_query, digest, overall
from pipeline.schema.engines import DUCKDB, ENGINE_VARIABLE, SPARK
from pipeline.schema.tables import ALL, published
from pipeline.support.errors import DrawdownError, UsageError, first_line
from pipeline.support.home import Home
from pipeline.warehouse.reader import open_reader

ALL_TABLES = "*"
"""Name of the line for all tables together."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """Row count and checksum of one table."""

    table: str
    rows: int
    checksum: str


def checksums(path: Path) -> list[Checksum]:
    """Checksums of every table of a DuckDB file, by name, and last `*` for all of them.

    Views are included only if they are published as tables, so a warehouse and its build agree on the tables that both
    have. Raises DrawdownError for a file that cannot be opened or with types that have no checksum.
    """
    with open_reader(path) as connection:
        try:
            return _checksums(connection)
        except ValueError as problem:
            raise DrawdownError(f"{path}: {problem}") from None
        except duckdb.Error as problem:
            raise DrawdownError(f"{path} cannot be read: {first_line(problem)}") from None


def _checksums(connection: duckdb.DuckDBPyConnection) -> list[Checksum]:
    found: dict[str, dict[str, str]] = {}
    columns = connection.execute(
        """
        SELECT columns.schema_name, columns.table_name, columns.column_name, columns.data_type,
            views.view_name IS NOT NULL AS is_view
        FROM duckdb_columns() AS columns
        LEFT JOIN duckdb_views() AS views
            ON columns.schema_name = views.schema_name AND columns.table_name = views.view_name
        WHERE columns.database_name = current_database() AND NOT columns.internal
        ORDER BY columns.schema_name, columns.table_name
        """
    ).fetchall()
    for schema, table, column, data_type, is_view in columns:
        name = f"{schema}.{table}"
        if is_view and not (name in ALL and ALL[name].is_published):
            continue
        if name not in PER_BUILD_TABLES and column not in PER_BUILD_COLUMNS:
            found.setdefault(name, {})[column] = data_type
    made = []
    for name, types in found.items():
        try:
            query = checksum_query(".".join(f'"{part}"' for part in name.split(".", 1)), types)
        except ValueError as problem:
            raise ValueError(f"{name}: {problem}") from None
        (row,) = connection.execute(query).fetchall()
        made.append(Checksum(name, int(row[0]), digest(types, row)))
    total = overall({each.table: each.checksum for each in made})
    return [*made, Checksum(ALL_TABLES, sum(each.rows for each in made), total)]


def engines_build(home: Home, engine: str, moment: datetime | None) -> AbstractContextManager[Path]:
    """Path of the newest build that an engine made, for the block, or of the one that was the newest at a moment.

    Without an engine, it is that of the published build. Raises UsageError for an unknown engine, one that has no such
    builds, and for settings without a storage; DrawdownError if there is no such build.
    """
    from pipeline.lake.lake_of_build import is_in_lake
    from pipeline.lake.past_builds import build_as_of, build_in

    if engine not in ("", DUCKDB, SPARK):
        raise UsageError(f"--engine {engine}: must be {DUCKDB} or {SPARK}")
    if engine == SPARK:
        from pipeline.distributed.engine import lake_storage

        return build_in(lake_storage(), moment, published())
    if engine == DUCKDB and is_in_lake(home.current):
        raise DrawdownError(
            f"{home.current} was made with the engine {SPARK}; `drawdown rebuild` with {ENGINE_VARIABLE}={DUCKDB} "
            "makes a build of this machine"
        )
    return nullcontext(home.current) if moment is None else build_as_of(home, moment, published())


def print_checksums(path: Path, *, as_json: bool) -> None:
    """Print the checksums of a file.

    Raises UsageError if a named file is missing, and DrawdownError as `checksums` does.
    """
    if path != Home.from_environment().current and not path.is_file():
        raise UsageError(f"{path} is not a file; name a DuckDB file, or none for the published build")
    rows = [(each.table, each.rows, each.checksum) for each in checksums(path)]
    (write_json if as_json else show_rows)(["table", "rows", "checksum"], rows)
