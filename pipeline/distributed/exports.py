"""The tables that leave a shard, as parts of the lake: one for each month of a table that is published by month."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from typing import Final

import duckdb

from pipeline.lake.lake_parts import Part, write_part
from pipeline.lake.object_store import ObjectStore
from pipeline.landing.store import OWN
from pipeline.models.discovery import discover
from pipeline.models.month_ranges import in_months, months_of_rows
from pipeline.models.quarantine import view_rows
from pipeline.models.unpublished import published_build, unpublished_months
from pipeline.schema.tables import ALL, Table

_RUNS: Final = ("accounts.toml of the newest run", "landing _drawdown/runs")
"""Sources of tables that the fleet's warehouse loads itself."""
FETCHES: Final = ALL["staging.fetches"]


@cache
def exported() -> tuple[Table, ...]:
    """Tables of accounts that readers get, or that a table of the fleet is made from."""
    read: set[str] = set()
    for model in discover().values():
        if model.table.partition == "fleet":
            read.update(model.reads, model.check_reads)
    return tuple(
        table
        for name, table in ALL.items()
        if table.partition == "account"
        and (table.is_published or name in read)
        and not set(table.made_from).intersection(_RUNS)
    )


@cache
def lake_tables() -> tuple[Table, ...]:
    """Tables that the lake has: those of shards, and those of the fleet that readers get."""
    of_fleet = (table for table in ALL.values() if table.is_published and table.partition == "fleet")
    return (*exported(), *of_fleet)


def export(
    connection: duckdb.DuckDBPyConnection,
    tables: Iterable[Table],
    *,
    shard: int,
    build_id: str,
    store: ObjectStore,
) -> Iterator[Part]:
    """Store the rows of tables as parts of a build.

    Of a table that is published by month, only months that differ from the warehouse's last build are stored, or all
    if there is none. Raises duckdb.Error, and DrawdownError if the storage fails.
    """
    for table in tables:
        for month in _months(connection, table):
            where = in_months(table, [month]) if month else "true"
            if table is FETCHES:
                where += f" AND vendor <> '{OWN}'"
            rows = f"({view_rows(connection, table, None)}) AS rows WHERE {where}"
            yield write_part(connection, rows, table, shard=shard, month=month, build_id=build_id, store=store)


def _months(connection: duckdb.DuckDBPyConnection, table: Table) -> list[date] | list[None]:
    """Months to store; `[None]` for a table without months."""
    if not table.published_by:
        return [None]
    if published_build(connection) is not None:
        return unpublished_months(connection, table)
    return months_of_rows(connection, table, table.full_name)
