"""UTC months of the rows of a table, and conditions for their rows, by which DuckDB can skip all others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

from pipeline.schema.columns import Type
from pipeline.schema.tables import Table
from pipeline.support.calendar_months import next_month

if TYPE_CHECKING:
    import duckdb


def in_months(table: Table, months: Iterable[date]) -> str:
    """Condition for the rows of a table in months, given by their first days; empty if there are none.

    One range for adjacent months. The table is recomputed or published by month.
    """
    column, kind = table.published_by, _kind_of_month(table)
    ranges: list[list[date]] = []
    for month in sorted(months):
        following = next_month(month)
        if ranges and ranges[-1][1] == month:
            ranges[-1][1] = following
        else:
            ranges.append([month, following])
    return " OR ".join(
        f"({column} >= {_start_of(first, kind)} AND {column} < {_start_of(following, kind)})"
        for first, following in ranges
    )


def _start_of(day: date, kind: Type | None) -> str:
    return f"TIMESTAMPTZ '{day} 00:00:00+00'" if kind is Type.INSTANT else f"DATE '{day}'"


def months_of_rows(connection: duckdb.DuckDBPyConnection, table: Table, rows: str) -> list[date]:
    """First days of the months of rows, in order; `rows` follows FROM and has the table's `published_by`."""
    day = day_of(table, table.published_by or "")
    found = connection.execute(
        f"SELECT DISTINCT CAST(date_trunc('month', day) AS DATE) AS month "
        f"FROM (SELECT DISTINCT {day} AS day FROM {rows}) ORDER BY month"
    ).fetchall()
    return [month for (month,) in found]


def day_of(table: Table, value: str) -> str:
    """SQL for the UTC day of a value of a table's `published_by`."""
    return utc_date(value) if _kind_of_month(table) is Type.INSTANT else value


def utc_date(instant: str) -> str:
    """SQL for the UTC day of an instant: for millions of rows, at a fraction of the cost of a cast with time zones."""
    return f"CAST(make_timestamp(epoch_us({instant})) AS DATE)"


def _kind_of_month(table: Table) -> Type | None:
    return next((each.column.type for each in table.columns if each.name == table.published_by), None)
