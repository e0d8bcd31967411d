"""Bringing the table of one model up to date: by the months that it owes, or whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import duckdb

from pipeline.models.discovery import ancestors, discover
from pipeline.models.fingerprints import select_hash
from pipeline.models.model import Model
from pipeline.models.months import MONTHLY_TABLES, touch_days, touch_everything
from pipeline.schema.columns import Type
from pipeline.schema.render import comments, create_table
from pipeline.schema.tables import Table
from pipeline.schema.units import MONEY_SCALE
from pipeline.support.errors import DrawdownError


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What a recomputation came to."""

    rows: int
    """In the whole table."""
    scope: str
    """The condition that holds for the rows that were computed."""


def recompute(connection: duckdb.DuckDBPyConnection, model: Model, select: str | None = None) -> Recomputed:
    """Bring a model's table up to date. Run inside a transaction.

    A table with a month column is recomputed for the months that it owes (`staging.touched_months`), and owes none
    afterwards. It owes all where it is empty, or where its SELECT, or anything that this reads, is another than the one
    it was made with. A SELECT that needs more than the rows of those months reads them there; what any other reads is
    narrowed down to them from outside. A view needs nothing. Any other table is rebuilt whole.
    There is no other way to make one: refresh, backfill, restatement and rebuild only differ in the months that were
    touched.

    `select` replaces the model's own, of which it is a part. Raises DrawdownError where the SELECT's columns are not
    the definition's.
    """
    table = model.table
    _check_columns(connection, model)
    columns = ", ".join(table.column_names)
    scope = "true"
    order = f" ORDER BY {', '.join(table.key)}" if table.key else ""
    query = f"SELECT {columns} FROM (\n{select or model.select}\n)"
    if table.month_column:
        owe_what_changed(connection, model)
        owed = owed_months(connection, table)
        is_empty = not connection.execute(f"SELECT 1 FROM {table.full_name} LIMIT 1").fetchall()
        scope = "true" if is_empty else owed or "false"
        if scope != "false":
            connection.execute(f"DELETE FROM {table.full_name} WHERE {scope}")
            connection.execute(f"INSERT INTO {table.full_name} ({columns}) {query} WHERE {scope}{order}")
        connection.execute("DELETE FROM staging.touched_months WHERE table_name = ?", [table.full_name])
    elif not table.is_view:
        fed = _fed_months(table)
        if fed:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE before AS SELECT {columns} FROM {table.full_name}")
        connection.execute(f"DROP TABLE IF EXISTS {table.full_name}")
        for statement in (create_table(table), *comments(table)):
            connection.execute(statement)
        connection.execute(f"INSERT INTO {table.full_name} ({columns}) {query}{order}")
        if fed and table.day_column:
            rows = _differing(_own(table), table.full_name)
            touch_days(connection, fed, f"SELECT {table.day_column} AS day FROM ({rows})", hold_on=table.holds_on)
        elif (
            fed
            and connection.execute(
                f"SELECT 1 FROM ({_differing(table.column_names, table.full_name)}) LIMIT 1"
            ).fetchall()
        ):
            # What holds for an account holds for all of its days. What is not made from it may be recomputed already.
            touch_everything(connection, (name for name in MONTHLY_TABLES if table.full_name in ancestors(name)))
    return Recomputed(int(connection.sql(f"SELECT count(*) FROM {table.full_name}").fetchall()[0][0]), scope)


def owe_what_changed(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Empty a table that was made with another SELECT than the model's, and let it owe all its months."""
    if not model.table.month_column:
        return
    name = model.table.full_name
    own = select_hash(name, discover())
    rows = connection.execute("SELECT select_hash FROM staging.model_hashes WHERE table_name = ?", [name]).fetchall()
    if rows == [(own,)]:
        return
    connection.execute("DELETE FROM staging.model_hashes WHERE table_name = ?", [name])
    connection.execute("INSERT INTO staging.model_hashes (table_name, select_hash) VALUES (?, ?)", [name, own])
    if rows:
        touch_everything(connection, [name])
        connection.execute(f"DELETE FROM {name}")


def owed_months(connection: duckdb.DuckDBPyConnection, table: Table) -> str:
    """The condition that a row of a table is in a month that the table owes; empty where it owes none.

    It is made of constants, one range for neighbouring months, so that DuckDB passes over all other rows unread.
    """
    column = table.month_column
    kind = next((each.column.type for each in table.columns if each.name == column), None)
    months = connection.execute(
        "SELECT touched_month FROM staging.touched_months WHERE table_name = ? ORDER BY touched_month",
        [table.full_name],
    ).fetchall()
    ranges: list[list[date]] = []
    for (month,) in months:
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


def _fed_months(table: Table) -> list[str]:
    """The tables recomputed by month which read a table that tells of accounts or of days."""
    if table.key != ("account_id",) and not table.day_column and not table.owes_all:
        return []
    return [name for name, model in discover().items() if model.table.month_column and table.full_name in model.reads]


def _own(table: Table) -> tuple[str, ...]:
    """The columns that a row says itself: one that holds on ends where the next begins."""
    return tuple(name for name in table.column_names if not (table.holds_on and name == "to_date"))


def _differing(columns: tuple[str, ...], full_name: str) -> str:
    names = ", ".join(columns)
    one, other = f"SELECT {names} FROM before", f"SELECT {names} FROM {full_name}"
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
        raise DrawdownError(f"{model.path} differs from its definition: {'; '.join(differences)}")


def _is_amount(data_type: str) -> bool:
    return data_type.startswith("DECIMAL(") and data_type.endswith(f",{MONEY_SCALE})") and data_type != Type.RATE
