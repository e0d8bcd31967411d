"""Conditions for the rows of a table in some UTC months, as constants by which DuckDB can skip all other rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from pipeline.schema.columns import Type
from pipeline.schema.tables import Table


def in_months(table: Table, months: Iterable[date]) -> str:
    """Condition for the rows of a table in months, given by their first days; empty if there are none.

    One range for adjacent months. The table is recomputed or published by month.
    """
    column = table.published_by
    kind = next((each.column.type for each in table.columns if each.name == column), None)
    ranges: list[list[date]] = []
    for month in sorted(months):
        following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
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
