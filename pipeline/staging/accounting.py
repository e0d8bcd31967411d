"""Recount of what the newest load stored, independently of the load's own counts.

Earlier rows have been counted, and only a load changes them; a rebuild counts everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import duckdb

from pipeline.models.quarantine import Broken
from pipeline.schema.render import quoted
from pipeline.schema.tables import Table

_UNACCOUNTED: Final = "received is not accepted + rejected"
_UNLOADED: Final = "rows of an answer without accepted rows"


@dataclass(slots=True)
class Recount:
    """What is wrong with the newest rows of a vendor's record table: counts, and the rules that accounts break."""

    answers_not_accounted_for: int = 0
    duplicate_keys: int = 0
    rows_without_a_load: int = 0
    broken: list[Broken] = field(default_factory=list)


def kind_of(vendor: str, table: Table) -> str:
    """Kind of record of a vendor's table."""
    return table.name.removeprefix(f"{vendor}_")


def recount(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, tuple[str, Table]]) -> dict[str, Recount]:
    """Recount the newest load's rows of each table.

    `tables`: vendor and table by the table's full name, as are the results.
    """
    found = {name: Recount() for name in tables}
    newest = connection.execute("SELECT max(loaded_at_utc) FROM staging.fetches").fetchall()[0][0]
    if newest is None or not tables:
        return found
    loaded_now = f"loaded_at_utc = TIMESTAMPTZ '{newest.isoformat()}'"
    names = {(vendor, kind_of(vendor, table)): name for name, (vendor, table) in tables.items()}
    for vendor, kind, account_id, count in connection.execute(
        f"""
        SELECT fetches.vendor, loads.record_kind, fetches.account_id, count(*) FROM staging.loads AS loads
        INNER JOIN staging.fetches AS fetches ON loads.fetch_id = fetches.fetch_id
        LEFT JOIN (
            SELECT fetch_id, split_part(record_kind, ':', 1) AS kind,
                count(DISTINCT (record_kind, row_number)) AS stored_rows
            FROM staging.rejects GROUP BY ALL
        ) AS stored ON loads.fetch_id = stored.fetch_id AND loads.record_kind = stored.kind
        WHERE fetches.{loaded_now} AND (
            loads.received_rows <> loads.accepted_rows + loads.rejected_rows
            OR loads.rejected_rows <> coalesce(stored.stored_rows, 0)
        ) GROUP BY ALL
        """
    ).fetchall():
        if (vendor, kind) in names:
            mine = found[names[vendor, kind]]
            mine.answers_not_accounted_for += count
            mine.broken.append(Broken(account_id, _UNACCOUNTED))
    for name, account_id, count in _of_each(connection, tables, _duplicates, loaded_now):
        found[name].duplicate_keys += count
        key = ", ".join(tables[name][1].key)
        found[name].broken.append(Broken(account_id, f"a key ({key}) occurs more than once"))
    for name, account_id, count in _of_each(connection, tables, _unloaded, loaded_now):
        found[name].rows_without_a_load += count
        found[name].broken.append(Broken(account_id, _UNLOADED))
    return found


def _of_each(
    connection: duckdb.DuckDBPyConnection,
    tables: Mapping[str, tuple[str, Table]],
    query: Callable[[str, Table, str], str],
    loaded_now: str,
) -> list[tuple[str, str, int]]:
    """Table, account and count of the rows of a query for each table: one statement costs less than one for each."""
    queries = (
        f"SELECT {quoted(name)}, account_id, count FROM ({query(vendor, table, loaded_now)})"
        for name, (vendor, table) in tables.items()
    )
    return connection.execute(" UNION ALL ".join(queries)).fetchall()


def _duplicates(_: str, table: Table, loaded_now: str) -> str:
    key = ", ".join(table.key)
    return (
        f"SELECT account_id, count(*) AS count FROM (SELECT {key} FROM {table.full_name} WHERE ({key}) IN "
        f"(SELECT ({key}) FROM {table.full_name} WHERE {loaded_now}) GROUP BY {key} HAVING count(*) > 1) "
        "GROUP BY account_id"
    )


def _unloaded(vendor: str, table: Table, loaded_now: str) -> str:
    return f"""
        SELECT stated.account_id, count(*) AS count FROM {table.full_name} AS stated
        LEFT JOIN staging.loads AS loads
            ON stated.fetch_id = loads.fetch_id AND loads.record_kind = {quoted(kind_of(vendor, table))}
        WHERE stated.{loaded_now} AND coalesce(loads.accepted_rows, 0) = 0 GROUP BY stated.account_id
    """
