"""Which UTC months a load touches: the only thing that refresh, backfill, restatement and rebuild differ in.

A table that is recomputed by month (`Table.month_column`) finds the months that it owes in `staging.touched_months`
and takes them off when it has recomputed them, in one transaction. So a run that died in between owes them still.
"""

from __future__ import annotations

from datetime import date

import duckdb

from pipeline.schema.tables import ALL, Table

MONTHLY_TABLES = tuple(table.full_name for table in ALL.values() if table.month_column)
"""Tables that are recomputed by month."""

# The columns that tell when a record's money moved, and those whose change does not change it.
_DAYS = {
    "ledger_entries": "CAST({row}.effective_at_utc AT TIME ZONE 'UTC' AS DATE)",
    "usage_days": "{row}.usage_date",
}
_UNMOVING = frozenset({"fetch_id", "row_number", "observed_at_utc", "loaded_at_utc", "extra_json", "description"})


def touch(connection: duckdb.DuckDBPyConnection, days: str) -> None:
    """Owe the months of the days that a query gives in its one column `day`."""
    for table in MONTHLY_TABLES:
        connection.execute(
            f"""
            INSERT INTO staging.touched_months (table_name, touched_month)
            SELECT DISTINCT '{table}', CAST(date_trunc('month', day) AS DATE) FROM ({days})
            WHERE day IS NOT NULL AND CAST(date_trunc('month', day) AS DATE) NOT IN (
                SELECT touched_month FROM staging.touched_months WHERE table_name = '{table}'
            )
            """
        )


def touch_rows(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Owe the months of the rows in `arrived` that are new or say something else than those in `standing`."""
    kind = next((kind for kind in ("balances", *_DAYS) if table.name.endswith(f"_{kind}")), None)
    if kind is None:
        return
    same_key = " AND ".join(f"old.{name} = new.{name}" for name in table.key)
    changed = " OR ".join(
        f"old.{name} IS DISTINCT FROM new.{name}" for name in table.column_names if name not in _UNMOVING
    )
    if kind == "balances":
        # A reading changes the intervals on both of its sides, whichever table its neighbours stand in.
        touch(
            connection,
            f"""
            SELECT unnest(generate_series(
                date_trunc('month', coalesce(
                    (SELECT max(other.observed_at_utc) FROM staging.balances AS other
                     WHERE other.account_id = span.account_id AND other.observed_at_utc < span.first_at),
                    span.first_at)),
                coalesce(
                    (SELECT min(other.observed_at_utc) FROM staging.balances AS other
                     WHERE other.account_id = span.account_id AND other.observed_at_utc > span.last_at), span.last_at),
                INTERVAL 1 MONTH
            )) AT TIME ZONE 'UTC' AS day
            FROM (
                SELECT new.account_id, min(new.observed_at_utc) AS first_at, max(new.observed_at_utc) AS last_at
                FROM arrived AS new LEFT JOIN standing AS old ON {same_key}
                WHERE {changed} GROUP BY new.account_id
            ) AS span
            """,
        )
        return
    touch(
        connection,
        f"""
        SELECT unnest([{_DAYS[kind].format(row="new")}, {_DAYS[kind].format(row="old")}]) AS day
        FROM arrived AS new LEFT JOIN standing AS old ON {same_key}
        WHERE {changed}
        """,
    )


class Spans:
    """How far evidence reached before a load; `touch_differences` owes the months by which it reaches otherwise."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._before = self._spans()

    def _spans(self) -> dict[str, tuple[str, date, date]]:
        rows = self._connection.sql(
            "SELECT account_id, basis, first_date, through_date FROM staging.evidence"
        ).fetchall()
        return {account_id: (basis, first, through) for account_id, basis, first, through in rows}

    def touch_everything(self) -> None:
        """Owe every month that any account has evidence of."""
        for _, first, through in self._before.values():
            self._touch(first, through)

    def touch_differences(self) -> None:
        """Owe the months in which an account's days begin, end or are known otherwise than before."""
        after = self._spans()
        for account_id in self._before.keys() | after.keys():
            old, new = self._before.get(account_id), after.get(account_id)
            if old == new:
                continue
            if old is None or new is None or old[0] != new[0]:
                for _, first, through in filter(None, (old, new)):
                    self._touch(first, through)
                continue
            if old[1] != new[1]:
                self._touch(min(old[1], new[1]), max(old[1], new[1]))
            if old[2] != new[2]:
                self._touch(min(old[2], new[2]), max(old[2], new[2]))

    def _touch(self, first: date, last: date) -> None:
        touch(
            self._connection,
            f"SELECT unnest(generate_series(date_trunc('month', DATE '{first}'), DATE '{last}', INTERVAL 1 MONTH)) "
            "AS day",
        )
