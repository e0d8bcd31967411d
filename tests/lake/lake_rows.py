"""Made-up tables with a column of every type, and random rows for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import duckdb
import pyarrow as pa
from hypothesis import strategies as st

from pipeline.lake.iceberg_schema import arrow_schema
from pipeline.schema.columns import Column, Type
from pipeline.schema.tables import Table, TableColumn

WIDEST = cast("Type", "DECIMAL(38,9)")
"""The widest decimal that any engine has; no column has it now."""
TYPES: list[Type] = [*Type, WIDEST]

Row = tuple[Any, ...]


def made_table(
    name: str, types: Sequence[tuple[Type, bool]] = tuple((each, True) for each in TYPES), *, by: Type | None = None
) -> Table:
    """A table `core.<name>`: `account_id`, the column it is published by (`moment`), and `c0`, `c1`... of these types."""
    columns = [
        TableColumn(Column(name="account_id", type=Type.TEXT, doc="It's the account."), False),
        *([TableColumn(Column(name="moment", type=by, doc="When.", unit="UTC day"), False)] if by else []),
        *(
            TableColumn(Column(name=f"c{place}", type=kind, doc=f"Number {place}.", unit="things"), is_nullable)
            for place, (kind, is_nullable) in enumerate(types)
        ),
    ]
    return Table(
        layer="core", name=name, doc=f"A made-up {name}.", grain="row", key=("account_id",), columns=tuple(columns),
        part_column="moment" if by else None,
    )  # fmt: skip


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    """Every decimal of a type, up to its last digit."""
    most = 10**precision - 1
    whole = st.one_of(st.integers(-most, most), st.sampled_from([most, -most, 0, 1, -1]))
    return whole.map(lambda unscaled: Decimal(unscaled).scaleb(-scale, _wide()))


def _wide() -> Any:
    from decimal import Context

    return Context(prec=50)


INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)).map(lambda each: each.replace(tzinfo=UTC))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    Type.TEXT: st.one_of(st.sampled_from(["", " ", "NULL", "\x00", "\U0010ffff" * 20]), st.text(max_size=30)),
    Type.BOOLEAN: st.booleans(),
    Type.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Type.DATE: st.dates(date(1900, 1, 1), date(2200, 1, 1)),
    Type.INSTANT: INSTANTS,
    Type.MONEY: decimals(27, 9),
    Type.RATE: decimals(18, 9),
    Type.NUMBER: st.floats(),
    WIDEST: decimals(38, 9),
}


@st.composite
def rows_of(draw: st.DrawFn, table: Table, month: date | None) -> list[Row]:
    """Rows of a table within a month, with NULL where it may be."""
    made = []
    for number in range(draw(st.integers(0, 5))):
        row: list[Any] = [f"account-{number}"]
        for column in table.columns[1:]:
            values = VALUES[column.column.type]
            if column.name == "moment" and month is not None:
                values = within(column.column.type, month)
            row.append(draw(st.none() | values if column.is_nullable else values))
        made.append(tuple(row))
    return made


def within(kind: Type, month: date) -> st.SearchStrategy[Any]:
    """Days or instants of a month, its first and last among them."""
    end = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    if kind is Type.INSTANT:
        first, last = (datetime(day.year, day.month, 1) for day in (month, end))
        last -= timedelta(microseconds=1)
        moments = st.one_of(st.sampled_from([first, last]), st.datetimes(first, last))
        return moments.map(lambda each: each.replace(tzinfo=UTC))
    return st.one_of(st.sampled_from([month, end - timedelta(days=1)]), st.dates(month, end - timedelta(days=1)))


def load(connection: duckdb.DuckDBPyConnection, table: Table, rows: Sequence[Row]) -> str:
    """Make `rows` a DuckDB table with exactly these values, by Arrow; returns its name."""
    names = arrow_schema(table).names[:-1]
    schema = pa.schema([arrow_schema(table).field(name) for name in names])
    given = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema=schema)
    connection.register("given", given)
    columns = ", ".join(f"CAST({each.name} AS {each.column.type}) AS {each.name}" for each in table.columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE made AS SELECT {columns} FROM given")
    connection.unregister("given")
    return "made"


def comparable(rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows in an order of their own, with NaN equal to itself, floats to the bit, and instants in UTC."""
    return sorted((tuple(_comparable(value) for value in row) for row in rows), key=repr)


def _comparable(value: Any) -> Any:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value.hex()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value
