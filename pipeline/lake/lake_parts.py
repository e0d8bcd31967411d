"""Parts: what a task computes of a table for one shard and month, as Parquet files.

Tasks need neither Iceberg nor its catalog: they write parts with `write_part`, and one process commits them
(`pipeline.lake.lake_tables`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.lake.build_pointers import DataFile
from pipeline.lake.iceberg_schema import SHARD, SHARD_TYPE, arrow_schema
from pipeline.lake.lake_keys import part_key
from pipeline.lake.object_store import ObjectStore
from pipeline.schema.columns import Type
from pipeline.schema.render import quoted
from pipeline.schema.tables import Table
from pipeline.support.errors import DrawdownError

if TYPE_CHECKING:
    import duckdb
    import pyarrow.parquet as pq

_FOOTERS_AT_ONCE: Final = 16
"""Requests for files' footers at the same time: waiting takes most of their time."""


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a table for one shard and month; they replace those that it has for them."""

    table: str
    """Full name."""
    shard: int
    """Number of the shard; 0 for a table about all accounts."""
    month: date | None
    """First day of the UTC month; None for a table that is not published by month (`Table.published_by`)."""
    paths: tuple[str, ...]
    """URLs of Parquet files in the lake's storage, or absolute paths of local ones; none for a part without rows."""
    rows: int

    @property
    def partition(self) -> tuple[int, date | None]:
        """Shard and month."""
        return self.shard, self.month


def write_part(
    connection: duckdb.DuckDBPyConnection,
    rows: str,
    table: Table,
    *,
    shard: int,
    month: date | None,
    build_id: str,
    store: ObjectStore,
) -> Part:
    """Store the rows that `rows`, a FROM clause such as `core.spend_daily WHERE ...`, has, in the order of the key.

    Raises duckdb.Error, and DrawdownError if the storage fails.
    """
    columns = ", ".join(table.column_names)
    order = ", ".join(table.order or table.key) or "1"
    with tempfile.TemporaryDirectory(prefix="drawdown-part-") as folder:
        local = Path(folder) / "part.parquet"
        copied = connection.execute(
            f"COPY (SELECT {columns}, CAST({shard:d} AS {SHARD_TYPE}) AS {SHARD} FROM {rows} ORDER BY {order}) "
            f"TO {quoted(str(local))} (FORMAT parquet, COMPRESSION zstd)"
        )
        count = int(copied.fetchall()[0][0])
        if count == 0:
            return Part(table.full_name, shard, month, (), 0)
        key = part_key(table, build_id, shard, month)
        store.put(local, key)
    return Part(table.full_name, shard, month, (store.location(key),), count)


def check_parts(parts: Sequence[Part], tables: dict[str, Table]) -> None:
    """Raise ValueError for a part of an unknown table, with a wrong shard or month, or that is given twice."""
    seen = set()
    for part in parts:
        table = tables.get(part.table)
        if table is None:
            raise ValueError(f"{part.table} is no published table")
        if (part.month is None) == bool(table.published_by) or (part.month and part.month.day != 1):
            raise ValueError(f"{part.table}: {part.month} is no part's month; the table is by {table.published_by}")
        if part.shard < 0 or bool(part.rows) != bool(part.paths):
            raise ValueError(f"{part.table}: shard {part.shard} with {part.rows} rows has {len(part.paths)} files")
        if (part.table, part.partition) in seen:
            raise ValueError(f"{part.table}: shard {part.shard}, month {part.month} is given twice")
        seen.add((part.table, part.partition))


def stored_parts(parts: Iterable[Part], tables: dict[str, Table], build_id: str, store: ObjectStore) -> list[Part]:
    """The parts with every local file stored. Raises OSError for a local file, DrawdownError if the storage fails."""

    def stored(path: str, part: Part) -> str:
        if path.startswith(store.url + "/"):
            return path
        key = part_key(tables[part.table], build_id, part.shard, part.month)
        store.put(Path(path), key)
        return store.location(key)

    return [
        Part(part.table, part.shard, part.month, tuple(stored(path, part) for path in part.paths), part.rows)
        for part in parts
    ]


def read_footers(
    parts: Sequence[Part], tables: dict[str, Table], store: ObjectStore
) -> dict[tuple[str, int, date | None], list[tuple[DataFile, pq.FileMetaData]]]:
    """The files of each part with their Parquet metadata, by table, shard and month.

    Raises DrawdownError for a file that does not have the table's columns, types and number of rows, or has rows of
    another shard or month.
    """

    def footer(path: str) -> tuple[int, pq.FileMetaData]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        key = store.key_of(path)
        with store.open_input(key) as file:
            try:
                metadata = pq.read_metadata(file)
            except pa.ArrowException:
                raise DrawdownError(f"{path} is no complete Parquet file; compute its part again") from None
        return store.size(key), metadata

    found: dict[tuple[str, int, date | None], list[tuple[DataFile, pq.FileMetaData]]] = {}
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as threads:
        footers = threads.map(footer, [path for part in parts for path in part.paths])
        for part in parts:
            files = found[(part.table, *part.partition)] = []
            for path in part.paths:
                size, metadata = next(footers)
                _check_footer(tables[part.table], part, path, metadata)
                file = DataFile(store.key_of(path), part.shard, part.month, metadata.num_rows, size)
                files.append((file, metadata))
            if sum(file.rows for file, _ in files) != part.rows:
                raise DrawdownError(
                    f"{part.table}: the files of shard {part.shard}, month {part.month} have "
                    f"{sum(file.rows for file, _ in files)} rows, and {part.rows} were written; compute the part again"
                )
    return found


def _check_footer(table: Table, part: Part, path: str, metadata: pq.FileMetaData) -> None:
    wanted, has = arrow_schema(table), metadata.schema.to_arrow_schema()
    problem = None
    if [(field.name, field.type) for field in has] != [(field.name, field.type) for field in wanted]:
        problem = f"has the columns {', '.join(f'{each.name} {each.type}' for each in has)}"
    elif metadata.num_rows == 0:
        problem = "has no rows"
    elif not _is_within(metadata, wanted.names.index(SHARD), lambda value: value, part.shard):
        problem = f"has rows of another shard than {part.shard}"
    elif table.published_by and not _is_within(
        metadata, wanted.names.index(table.published_by), _month_of(table), part.month
    ):
        problem = f"has rows of another month than {part.month:%Y-%m}"
    else:
        nulls = [
            each.name
            for place, each in enumerate(table.columns)
            if not each.is_nullable and any(statistics.null_count for statistics in _statistics(metadata, place))
        ]
        if nulls:
            problem = f"has NULL in {', '.join(nulls)}"
    if problem:
        raise DrawdownError(f"{path} {problem}, so it is no part of {table.full_name}; compute it again")


def _is_within(metadata: pq.FileMetaData, place: int, part_of: Any, wanted: object) -> bool:
    """Whether every row group's bounds of a column lead to the same value."""
    bounds = list(_statistics(metadata, place))
    return len(bounds) == metadata.num_row_groups and all(
        each.has_min_max and part_of(each.min) == part_of(each.max) == wanted for each in bounds
    )


def _statistics(metadata: pq.FileMetaData, place: int) -> list[pq.Statistics]:
    found = (metadata.row_group(number).column(place).statistics for number in range(metadata.num_row_groups))
    return [each for each in found if each is not None]


def _month_of(table: Table) -> Any:
    kind = next(each.column.type for each in table.columns if each.name == table.published_by)

    def month(value: date | datetime) -> date:
        if kind is Type.INSTANT and isinstance(value, datetime):
            value = value.astimezone(UTC) if value.tzinfo else value
        return date(value.year, value.month, 1)

    return month
