"""DDL with constraints, comments, pandera contracts and polars types, generated from the definitions.

Keys are tested by query (`duplicate_keys`), not by PRIMARY KEY: every refresh would have to maintain an index, which
costs more than the rest of the refresh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.schema.columns import COLUMNS, Type
from pipeline.schema.tables import Table, TableColumn
from pipeline.schema.units import MONEY_PRECISION, MONEY_SCALE

if TYPE_CHECKING:
    import pandera.polars as pa
    import polars as pl


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _constraint(column: TableColumn) -> str:
    parts = [] if column.is_nullable else ["NOT NULL"]
    name = column.name
    if column.column.allowed:
        parts.append(f"CHECK ({name} IN ({', '.join(quoted(value) for value in column.column.allowed)}))")
    if column.column.minimum is not None:
        parts.append(f"CHECK ({name} >= {column.column.minimum})")
    if column.column.maximum is not None:
        parts.append(f"CHECK ({name} <= {column.column.maximum})")
    return " ".join(parts)


def create_table(table: Table, name: str | None = None) -> str:
    """`CREATE TABLE IF NOT EXISTS` with NOT NULL and CHECK; `name` replaces the table's own full name."""
    lines = [f"    {column.name} {column.column.type} {_constraint(column)}".rstrip() for column in table.columns]
    return f"CREATE TABLE IF NOT EXISTS {name or table.full_name} (\n" + ",\n".join(lines) + "\n)"


def column_comment(column: TableColumn, kind: str = "TABLE") -> str:
    """A column's doc with its unit, as the database shows it: `The balance. [unit_code]`.

    A view has no constraints, so its comments state which columns are never NULL.
    """
    unit = column.column.unit
    doc = column.column.doc if column.is_nullable or kind == "TABLE" else f"{column.column.doc} Never NULL."
    return f"{doc} [{unit}]" if unit else doc


def comments(table: Table, name: str | None = None, kind: str = "TABLE") -> list[str]:
    """`COMMENT ON` statements for a table (or view) and each of its columns."""
    target = name or table.full_name
    return [
        f"COMMENT ON {kind} {target} IS {quoted(table_comment(table))}",
        *(
            f"COMMENT ON COLUMN {target}.{column.name} IS {quoted(column_comment(column, kind))}"
            for column in table.columns
        ),
    ]


def table_comment(table: Table) -> str:
    """A table's doc with its key: `An account now. Key: account_id.`"""
    return f"{table.doc} Key: {', '.join(table.key)}." if table.key else f"{table.doc} One row."


def duplicate_keys(table: Table, where: str = "true") -> str:
    """A query that counts the keys that occur more than once (a table without a key: the rows beyond one)."""
    if not table.key:
        return f"SELECT greatest(count(*) - 1, 0) FROM {table.full_name} WHERE {where}"
    key = ", ".join(table.key)
    return (
        f"SELECT count(*) FROM (SELECT {key} FROM {table.full_name} WHERE {where} GROUP BY {key} HAVING count(*) > 1)"
    )


def polars_type(column_type: Type) -> pl.DataType:
    """The polars type that holds a column exactly."""
    import polars as pl

    types: dict[Type, pl.DataType] = {
        Type.TEXT: pl.String(),
        Type.BOOLEAN: pl.Boolean(),
        Type.INTEGER: pl.Int64(),
        Type.DATE: pl.Date(),
        Type.INSTANT: pl.Datetime("us", "UTC"),
        Type.MONEY: pl.Decimal(MONEY_PRECISION, MONEY_SCALE),
        Type.RATE: pl.Decimal(18, 9),
        Type.NUMBER: pl.Float64(),
    }
    return types[column_type]


def polars_schema(table: Table) -> dict[str, pl.DataType]:
    """Column names and polars types, in order."""
    return {column.name: polars_type(column.column.type) for column in table.columns}


def contract(table: Table) -> pa.DataFrameSchema:
    """The pandera contract of a table: exact columns and types, nullability, bounds and allowed values.

    It only validates: nothing is coerced, and no row is dropped. Floats must be finite.
    """
    import pandera.polars as pa

    # In the failure cases, a built-in check is identified by its error, not by its name.
    def checks(column: TableColumn) -> list[pa.Check]:
        made = []
        if column.column.allowed:
            made.append(pa.Check.isin(list(column.column.allowed), error="is_allowed"))
        if column.column.minimum is not None:
            made.append(pa.Check.ge(column.column.minimum, error="is_at_least_minimum"))
        if column.column.maximum is not None:
            made.append(pa.Check.le(column.column.maximum, error="is_at_most_maximum"))
        if column.column.type is Type.NUMBER:
            made.append(
                pa.Check(lambda data: data.lazyframe.select(data.key).select(_finite(data.key)), name="is_finite")
            )
        return made

    return pa.DataFrameSchema(
        {
            column.name: pa.Column(polars_type(column.column.type), nullable=column.is_nullable, checks=checks(column))
            for column in table.columns
        },
        strict=True,
        ordered=True,
        coerce=False,
        name=table.full_name,
    )


def _finite(name: str) -> pl.Expr:
    import polars as pl

    return pl.col(name).is_finite() | pl.col(name).is_null()


def unused_columns(tables: list[Table]) -> list[str]:
    """Columns that are defined but listed by no table."""
    used = {name for made in tables for name in made.column_names}
    return sorted(set(COLUMNS) - used)
