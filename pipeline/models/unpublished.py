"""Changes since the last build, so that the next one writes only them.

`staging.published_build` names a build, and `staging.unpublished_months` the months in which tables that are published
by month (`Table.published_by`) differ from it; all other tables are compared when the next build is made. Whoever
changes rows of such a table notes their months in the same transaction, or calls `forget_build`: without a build that
it differs from in known months alone, the next one is written whole.
"""

from __future__ import annotations

from datetime import date

import duckdb

from pipeline.models.discovery import discover
from pipeline.models.month_ranges import months_of_rows
from pipeline.schema.tables import ALL, Table
from pipeline.support.errors import DrawdownError


def note_months_of_rows(connection: duckdb.DuckDBPyConnection, table: Table, rows: str) -> list[date]:
    """Note the months of rows as changed, and return them; `rows` follows FROM and has the table's `published_by`.

    Note rows before they are deleted, or after they are inserted.
    """
    months = months_of_rows(connection, table, rows)
    if months:
        connection.execute(
            """
            INSERT INTO staging.unpublished_months (table_name, changed_month)
            SELECT ?, unnest(CAST(? AS DATE[]))
            EXCEPT SELECT table_name, changed_month FROM staging.unpublished_months
            """,
            [table.full_name, months],
        )
    return months


def unpublished_months(connection: duckdb.DuckDBPyConnection, table: Table) -> list[date]:
    """First days of the months in which the table differs from the build; for a view, any of its inputs does.

    Raises DrawdownError for a view of tables that are not recomputed by month.
    """
    names = [table.full_name]
    if table.is_view:
        names = list(discover()[table.full_name].reads)
        if others := [name for name in names if name not in ALL or not ALL[name].month_column]:
            raise DrawdownError(
                f"{table.full_name} has a part_column and reads {', '.join(others)}, of which no months are noted; a "
                "view of such tables needs none"
            )
    rows = connection.execute(
        "SELECT DISTINCT changed_month FROM staging.unpublished_months WHERE table_name IN (SELECT unnest(?)) "
        "ORDER BY changed_month",
        [names],
    ).fetchall()
    return [month for (month,) in rows]


def published_build(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Id of the build since which all changes are known; None if there is none."""
    rows = connection.execute("SELECT build_id FROM staging.published_build").fetchall()
    return str(rows[0][0]) if rows else None


def forget_build(connection: duckdb.DuckDBPyConnection) -> None:
    """Have the next build written whole."""
    connection.execute("DELETE FROM staging.published_build")


def record_build(connection: duckdb.DuckDBPyConnection, build_id: str) -> None:
    """Record a build that equals the warehouse: from now on, changes are those since this one. Run in a transaction."""
    forget_build(connection)
    connection.execute("DELETE FROM staging.unpublished_months")
    connection.execute("INSERT INTO staging.published_build (build_id) VALUES (?)", [build_id])
