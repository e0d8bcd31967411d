"""The tables that leave a shard, as Parquet files: a file for each month of a table that is published by month."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final

import duckdb

from pipeline.alerts import rate_rule, rule_inputs
from pipeline.models.discovery import discover, made_after
from pipeline.models.month_ranges import in_months, months_of_rows
from pipeline.models.quarantine import view_rows
from pipeline.models.unpublished import published_build, unpublished_months
from pipeline.schema.render import quoted
from pipeline.schema.tables import ALL, Table
from pipeline.support.home import private_folder

_RUNS: Final = ("accounts.toml of the newest run", "landing _drawdown/runs")
"""Sources of tables that the fleet's warehouse loads itself."""


@cache
def exported() -> tuple[Table, ...]:
    """Tables of accounts that readers get, or that a table of the fleet or a rule of alerts reads."""
    read = {*rule_inputs.READS, *rate_rule.READS}
    for name, table in ALL.items():
        if table.partition == "fleet":
            read.update(made_after(discover()[name]) if name in discover() else table.made_from)
    return tuple(
        table
        for name, table in ALL.items()
        if table.partition == "account"
        and (table.is_published or name in read)
        and not set(table.made_from).intersection(_RUNS)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A file of a table's rows in a shard."""

    table: str
    """Full name."""
    month: date | None
    """Month of the rows; None for a table that is not published by month."""
    path: str
    rows: int


def export(connection: duckdb.DuckDBPyConnection, tables: tuple[Table, ...], folder: Path) -> Iterator[Export]:
    """Write rows of tables below a folder: `<schema>.<table>/<month or all>.parquet`.

    Of a table that is published by month, only months that differ from the warehouse's last build are written, or all
    if there is none.
    Raises duckdb.Error or OSError (such as a full disk).
    """
    for table in tables:
        for month in _months(connection, table):
            name = f"{month:%Y-%m}.parquet" if month else "all.parquet"
            path = private_folder(folder / table.full_name) / name
            where = in_months(table, [month]) if month else "true"
            own = " AND vendor <> '_drawdown'" if table.full_name == "staging.fetches" else ""
            order = ", ".join(table.order or table.key) or "ALL"
            [(rows,)] = connection.execute(
                f"COPY (SELECT * FROM ({view_rows(connection, table, None)}) WHERE {where}{own} ORDER BY {order}) "
                f"TO {quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)"
            ).fetchall()
            yield Export(table=table.full_name, month=month, path=str(path), rows=int(rows))


def _months(connection: duckdb.DuckDBPyConnection, table: Table) -> list[date] | list[None]:
    """Months to write: those that differ from the last build, or all; `[None]` for a table without months."""
    if not table.published_by:
        return [None]
    if published_build(connection) is not None:
        return unpublished_months(connection, table)
    return months_of_rows(connection, table, table.full_name)
