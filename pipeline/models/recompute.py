"""Update of one model's table: its dirty months, or the complete table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import duckdb

from pipeline.models.discovery import ancestors, discover
from pipeline.models.fingerprints import select_hash, text_hash
from pipeline.models.model import Model
from pipeline.models.month_ranges import in_months
from pipeline.models.months import MONTHLY_TABLES, mark_all_dirty, mark_days, mark_followers
from pipeline.models.unpublished import (
    forget_build,
    note_months_of_rows,
    published_build,
    unpublished_months,
)
from pipeline.schema.columns import Type
from pipeline.schema.tables import Table
from pipeline.schema.units import MONEY_SCALE
from pipeline.support.errors import DrawdownError

_FEW_MONTHS: Final = 12
"""Number of dirty months up to which new rows are compared with those before. A comparison takes memory for all of
them, and of more months most have changed."""


@dataclass(frozen=True, slots=True)
class Recomputed:
    """Result of a recomputation."""

    rows: int
    """Row count of the complete table."""
    scope: str
    """Condition that selects the recomputed rows."""


def recompute(connection: duckdb.DuckDBPyConnection, model: Model, select: str | None = None) -> Recomputed:
    """Update a model's table. Run inside a transaction.

    A table with a month column is recomputed for its dirty months (`staging.dirty_months`), which are then clean. All
    months are dirty if the table is empty, or if the hash of its SELECT, or of anything that this reads, has changed. A
    SELECT that needs rows outside the dirty months reads them inside; any other SELECT is restricted to them from
    outside. A view needs no update. Any other table is rebuilt completely. Tables are made in no other way: refresh,
    backfill, restatement and rebuild only differ in the dirty months.

    `select` replaces the model's own, of which it is a part. Raises DrawdownError if the SELECT's columns are not those
    of the definition.
    """
    table = model.table
    check_changed_model(connection, model)
    columns = ", ".join(table.column_names)
    scope = "true"
    order = f" ORDER BY {', '.join(table.order or table.key)}" if table.key else ""
    query = f"SELECT {columns} FROM (\n{select or model.select}\n)"
    if table.month_column:
        months = dirty_months(connection, table)
        is_empty = not connection.execute(f"SELECT 1 FROM {table.full_name} LIMIT 1").fetchall()
        scope = "true" if is_empty else in_months(table, months) or "false"
        if is_empty:
            connection.execute(f"INSERT INTO {table.full_name} ({columns}) {query}{order}")
            mark_followers(connection, table, note_months_of_rows(connection, table, table.full_name))
        elif months:
            _replace_months(connection, table, f"{query} WHERE {scope}{order}", months)
        connection.execute("DELETE FROM staging.dirty_months WHERE table_name = ?", [table.full_name])
    elif not table.is_view:
        fed = _fed_months(table)
        if fed:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE before AS SELECT {columns} FROM {table.full_name}")
        connection.execute(f"DELETE FROM {table.full_name}")
        connection.execute(f"INSERT INTO {table.full_name} ({columns}) {query}{order}")
        if fed:
            _mark_fed(connection, table, fed)
    elif table.published_by and published_build(connection):
        # A view has the changes of its inputs.
        scope = in_months(table, unpublished_months(connection, table)) or "false"
    return Recomputed(row_count(connection, table), scope)


def row_count(connection: duckdb.DuckDBPyConnection, table: Table) -> int:
    """Number of a table's rows."""
    return int(connection.sql(f"SELECT count(*) FROM {table.full_name}").fetchall()[0][0])


def _mark_fed(connection: duckdb.DuckDBPyConnection, table: Table, fed: list[str]) -> None:
    """Mark months of monthly tables as dirty if the rows of a table that they read differ from those in `before`."""
    names = ", ".join(_own(table))
    rows = _differing(f"SELECT {names} FROM before", f"SELECT {names} FROM {table.full_name}")
    if not connection.execute(f"SELECT 1 FROM ({rows}) LIMIT 1").fetchall():
        return
    if table.day_column:
        mark_days(connection, fed, f"SELECT {table.day_column} AS day FROM ({rows})", hold_on=table.holds_on)
    else:
        # A table of accounts affects all of their days. Tables that are not made from it may have been recomputed
        # already.
        mark_all_dirty(connection, (name for name in MONTHLY_TABLES if table.full_name in ancestors(name)))


def _replace_months(connection: duckdb.DuckDBPyConnection, table: Table, select: str, months: list[date]) -> None:
    """Replace the rows of a monthly table in dirty months, and note the months in which they differ from before."""
    name, columns = table.full_name, ", ".join(table.column_names)
    scope = in_months(table, months)
    if len(months) > _FEW_MONTHS:
        before = note_months_of_rows(connection, table, f"{name} WHERE {scope}")
        connection.execute(f"DELETE FROM {name} WHERE {scope}")
        connection.execute(f"INSERT INTO {name} ({columns}) {select}")
        mark_followers(connection, table, before + note_months_of_rows(connection, table, f"{name} WHERE {scope}"))
        return
    # Most dirty months have the same rows as before, and are neither written here nor published again.
    connection.execute(f"CREATE OR REPLACE TEMP TABLE recomputed AS {select}")
    old, new = f"FROM {name} WHERE {scope}", "FROM recomputed"
    day = table.month_column
    rows = _differing(f"SELECT {columns} {old}", f"SELECT {columns} {new}")
    # Rows that are repeated, by an error, differ in number alone.
    number = f"SELECT date_trunc('month', {day}) AS {day}, count(*) AS row_count"
    numbers = _differing(f"{number} {old} GROUP BY ALL", f"{number} {new} GROUP BY ALL")
    changed = note_months_of_rows(
        connection, table, f"(SELECT {day} FROM ({rows}) UNION ALL SELECT {day} FROM ({numbers}))"
    )
    mark_followers(connection, table, changed)
    if changed:
        where = in_months(table, changed)
        connection.execute(f"DELETE FROM {name} WHERE {where}")
        connection.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} {new} WHERE {where}")
    connection.execute("DROP TABLE recomputed")


def check_changed_model(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Check a SELECT that was not used before, and if it makes another table, mark all months of it as dirty.

    A monthly table that was made with a different SELECT is emptied. Raises DrawdownError if the SELECT's columns are
    not those of the definition.
    """
    name = model.table.full_name
    models = {**discover(), name: model}
    # Another version of DuckDB may infer other types.
    text = f"{text_hash(models)} {duckdb.__version__}"
    known = connection.execute(
        "SELECT select_hash, text_hash FROM staging.model_hashes WHERE table_name = ?", [name]
    ).fetchall()
    if known and known[0][1] == text:
        return
    _check_columns(connection, model)
    own = select_hash(name, models)
    connection.execute("DELETE FROM staging.model_hashes WHERE table_name = ?", [name])
    connection.execute(
        "INSERT INTO staging.model_hashes (table_name, select_hash, text_hash) VALUES (?, ?, ?)", [name, own, text]
    )
    if model.table.month_column and known and known[0][0] != own:
        mark_all_dirty(connection, [name])
        connection.execute(f"DELETE FROM {name}")
        forget_build(connection)


def dirty_months(connection: duckdb.DuckDBPyConnection, table: Table) -> list[date]:
    """First days of a table's dirty months."""
    months = connection.execute(
        "SELECT dirty_month FROM staging.dirty_months WHERE table_name = ?", [table.full_name]
    ).fetchall()
    return [month for (month,) in months]


def _fed_months(table: Table) -> list[str]:
    """Monthly tables that read a table of accounts or of days."""
    if table.key != ("account_id",) and not table.day_column and not table.owes_all:
        return []
    return [name for name, model in discover().items() if model.table.month_column and table.full_name in model.reads]


def _own(table: Table) -> tuple[str, ...]:
    """Columns to compare; the end of a range that follows from the next row is left out."""
    return tuple(name for name in table.column_names if not (table.holds_on and name == "to_date"))


def _differing(one: str, other: str) -> str:
    """Query for the rows that only one of two queries gives."""
    return f"({one} EXCEPT {other}) UNION ALL ({other} EXCEPT {one})"


def _check_columns(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    described = connection.sql(f"DESCRIBE {model.select}").fetchall()
    # SQL computes amounts with more digits than are stored: storing them is exact, or fails.
    there = {row[0]: Type.MONEY.value if _is_amount(row[1]) else row[1] for row in described}
    wanted = {column.name: str(column.column.type) for column in model.table.columns}
    if there != wanted:
        differences = [
            f"{name} is {there.get(name, 'absent')} and should be {wanted.get(name, 'absent')}"
            for name in sorted(there.keys() | wanted.keys())
            if there.get(name) != wanted.get(name)
        ]
        raise DrawdownError(
            f"{model.path} differs from its definition: {'; '.join(differences)}; cast it in the SELECT, or give the "
            "column a suffix (docs/naming.md) or a `type` in sql/columns"
        )


def _is_amount(data_type: str) -> bool:
    return data_type.startswith("DECIMAL(") and data_type.endswith(f",{MONEY_SCALE})") and data_type != Type.RATE
