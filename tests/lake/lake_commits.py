"""Commits of made-up tables, by the test's own process or by one that is killed, and what readers then see."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from pipeline.lake.build_pointers import BuildPointer
from pipeline.lake.lake_parts import Part, write_part
from pipeline.lake.lake_reading import write_view_file
from pipeline.lake.lake_tables import Lake
from pipeline.schema.columns import Type
from pipeline.schema.tables import Table
from pipeline.support.clock import FetchIds
from pipeline.warehouse.reader import open_reader
from tests.lake.lake_rows import Row, load, made_table

JANUARY, FEBRUARY, MARCH = (date(2026, month, 1) for month in (1, 2, 3))

DAILY = made_table("daily", [(Type.MONEY, True)], by=Type.DATE)
MOMENTS = made_table("moments", [(Type.MONEY, True)], by=Type.INSTANT)
WHOLE = made_table("whole", [(Type.MONEY, True)])
TABLES = (DAILY, MOMENTS, WHOLE)

Key = tuple[str, int, date | None]
Contents = Mapping[Key, Sequence[Row]]
"""Rows by table, shard and month."""


def simple(
    number: int, shards: Sequence[int] = (0, 1), months: Sequence[date] = (JANUARY, FEBRUARY)
) -> dict[Key, list[Row]]:
    """One row for each part, whose amount is `number`."""
    found: dict[Key, list[Row]] = {}
    for shard in shards:
        for month in months:
            for table in (DAILY, MOMENTS):
                moment = month if table is DAILY else datetime(month.year, month.month, 1, 12, tzinfo=UTC)
                found[table.full_name, shard, month] = [(f"account-{shard}", moment, number)]
        found[WHOLE.full_name, shard, None] = [(f"account-{shard}", number)]
    return found


def stored(lake: Lake, build_id: str, contents: Contents, tables: Sequence[Table] = TABLES) -> list[Part]:
    """Store parts."""
    by_name = {table.full_name: table for table in tables}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return [
            write_part(
                connection, load(connection, by_name[name], rows), by_name[name],
                shard=shard, month=month, build_id=build_id, store=lake.store,
            )
            for (name, shard, month), rows in contents.items()
        ]  # fmt: skip


def commit(lake: Lake, contents: Contents, tables: Sequence[Table] = TABLES, **options: Any) -> BuildPointer:
    """Store and commit parts as one build."""
    build_id = FetchIds().draw()
    lake.begin(build_id)
    return lake.commit(build_id, stored(lake, build_id, contents, tables), **options)


def rows_in(lake: Lake, pointer: BuildPointer, folder: Path, tables: Sequence[Table] = TABLES) -> dict[str, list[Row]]:
    """Rows of each table of a build, as a sealed reader sees them."""
    path = folder / pointer.build_id / "drawdown.duckdb"
    write_view_file(pointer, lake.store, tables, path)
    with open_reader(path) as connection:
        return {
            table.full_name: connection.execute(
                f"SELECT {', '.join(table.column_names)} FROM {table.full_name}"
            ).fetchall()
            for table in tables
        }


def amounts(lake: Lake, pointer: BuildPointer, folder: Path) -> dict[Key, int]:
    """Of a build of `simple` parts, the amount of each."""
    path = folder / pointer.build_id / "drawdown.duckdb"
    write_view_file(pointer, lake.store, TABLES, path)
    found: dict[Key, int] = {}
    with open_reader(path) as connection:
        for table in TABLES:
            month = "CAST(date_trunc('month', moment) AS DATE)" if table.published_by else "NULL"
            for account, when, amount in connection.execute(
                f"SELECT account_id, {month}, c0 FROM {table.full_name}"
            ).fetchall():
                key = (table.full_name, int(account.removeprefix("account-")), when)
                assert key not in found, f"{key} twice"
                found[key] = int(amount)
    return found


def expected(contents: Contents) -> dict[Key, int]:
    """The same of parts that were given."""
    return {key: int(row[-1]) for key, rows in contents.items() for row in rows}


def s3_properties() -> dict[str, str]:
    """What PyIceberg's own file system needs beside the keys."""
    return {"s3.endpoint": os.environ.get("AWS_ENDPOINT_URL", ""), "s3.region": os.environ.get("AWS_REGION", "")}


def from_iceberg(pointer: BuildPointer, table: Table) -> list[dict[str, Any]]:
    """Rows of a table as PyIceberg reads them from the snapshot that a build names, by its own file systems."""
    from pyiceberg.table import StaticTable

    version = pointer.tables[table.full_name]
    found = StaticTable.from_metadata(version.metadata_location, s3_properties())
    rows: list[dict[str, Any]] = found.scan(snapshot_id=version.snapshot_id).to_arrow().to_pylist()
    return rows


def _main(storage: str, folder: str, variable: str, what: str, number: str) -> None:
    lake = Lake(storage, Path(folder), tables=TABLES, catalog_variable=variable or None)
    if what == "writer":
        # One of several at the same time: two builds of its own shard.
        while not (Path(folder) / "go").exists():
            time.sleep(0.01)
        for amount in (1, 2):
            commit(lake, simple(10 * int(number) + amount, shards=[int(number)]))
        return
    last, seen = int(number), 0

    def step() -> None:
        nonlocal seen
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        # Each is just before a file appears, changes or goes; SQLite's own changes are between two of them.
        if event in ("os.rename", "os.link", "os.remove"):
            step()

    def around(method: Any) -> Any:
        def stepping(*arguments: Any, **options: Any) -> Any:
            step()
            found = method(*arguments, **options)
            step()
            return found

        return stepping

    build_id = FetchIds().draw()
    lake.begin(build_id)
    parts = stored(lake, build_id, simple(2, shards=[0], months=[FEBRUARY, MARCH]))
    if storage.startswith("file:"):
        sys.addaudithook(watch)
    else:
        for name in ("put", "put_bytes", "delete"):
            setattr(type(lake.store), name, around(getattr(type(lake.store), name)))
    if what == "commit":
        lake.commit(build_id, parts)
    else:
        lake.commit(build_id, parts)
        lake.remove_unneeded(kept_builds=1)
    print(seen)


if __name__ == "__main__":
    _main(*sys.argv[1:])
