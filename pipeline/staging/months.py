"""Which UTC months a load touches: the only thing that refresh, backfill, restatement and rebuild differ in.

A table that is recomputed by month (`Table.month_column`) finds the months that it owes in `staging.touched_months`
and takes them off when it has recomputed them, in one transaction. So a run that died in between owes them still.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

import duckdb

from pipeline.schema.tables import ALL, Table

MONTHLY_TABLES = tuple(table.full_name for table in ALL.values() if table.month_column)
"""Tables that are recomputed by month."""

_SPEND = "core.spend_daily"
_READINGS = "core.balance_snapshots"
_CLAIMS = "core.vendor_claims"

# Columns whose change leaves everything as it is, and those whose change does not move money.
_UNSEEN = frozenset({"row_number", "loaded_at_utc", "extra_json"})
_UNMOVING = _UNSEEN | {"fetch_id", "observed_at_utc", "description"}

# What spend follows from tells its day in these columns.
_DAYS = {
    "ledger_entries": "CAST({row}.effective_at_utc AT TIME ZONE 'UTC' AS DATE)",
    "usage_days": "{row}.usage_date",
    # Where the vendor shows no ledger, what was paid for stands in for it.
    "orders": "CAST(coalesce({row}.paid_at_utc, {row}.ordered_at_utc) AT TIME ZONE 'UTC' AS DATE)",
}


# The instants of all that a table is made of, where it is more than the evidence tells.
_INSTANTS = {
    _READINGS: "SELECT observed_at_utc AS instant FROM staging.balances "
    "UNION ALL SELECT fetched_at_utc FROM staging.fetches WHERE is_reading",
    _CLAIMS: "SELECT observed_at_utc AS instant FROM staging.vendor_claims",
}


def touch(connection: duckdb.DuckDBPyConnection, table: str, days: str) -> None:
    """Let a table owe the months of the days that a query gives in its one column `day`."""
    connection.execute(
        f"""
        INSERT INTO staging.touched_months (table_name, touched_month)
        SELECT DISTINCT '{table}', CAST(date_trunc('month', day) AS DATE) FROM ({days})
        WHERE day IS NOT NULL AND CAST(date_trunc('month', day) AS DATE) NOT IN (
            SELECT touched_month FROM staging.touched_months WHERE table_name = '{table}'
        )
        """
    )


def _months(first: str, last: str) -> str:
    return f"unnest(generate_series(date_trunc('month', {first}), {last}, INTERVAL 1 MONTH))"


def touch_rows(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Owe the months of the rows in `arrived` that are new or say something else than those in `standing`."""
    kind = next((kind for kind in ("balances", "vendor_claims", *_DAYS) if table.name.endswith(f"_{kind}")), None)
    same_key = " AND ".join(f"old.{name} = new.{name}" for name in table.key)
    both = f"arrived AS new LEFT JOIN standing AS old ON {same_key}"

    def differs(unmoving: frozenset[str]) -> str:
        names = (name for name in table.column_names if name not in unmoving)
        return " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in names)

    if kind == "vendor_claims":
        touch(connection, _CLAIMS, f"SELECT new.observed_at_utc AS day FROM {both} WHERE {differs(_UNSEEN)}")
    elif kind == "balances":
        touch(connection, _READINGS, f"SELECT new.observed_at_utc AS day FROM {both} WHERE {differs(_UNSEEN)}")
        # A reading changes the intervals on both of its sides, whichever table its neighbours stand in.
        before = """(
            SELECT max(other.observed_at_utc) FROM staging.balances AS other
            WHERE other.account_id = span.account_id AND other.observed_at_utc < span.first_at
        )"""
        after = """(
            SELECT min(other.observed_at_utc) FROM staging.balances AS other
            WHERE other.account_id = span.account_id AND other.observed_at_utc > span.last_at
        )"""
        touch(
            connection,
            _SPEND,
            f"""
            SELECT {_months(f"coalesce({before}, span.first_at)", f"coalesce({after}, span.last_at)")}
                AT TIME ZONE 'UTC' AS day
            FROM (
                SELECT new.account_id, min(new.observed_at_utc) AS first_at, max(new.observed_at_utc) AS last_at
                FROM {both} WHERE {differs(_UNMOVING)} GROUP BY new.account_id
            ) AS span
            """,
        )
    elif kind is not None:
        touch(
            connection,
            _SPEND,
            f"""
            SELECT unnest([{_DAYS[kind].format(row="new")}, {_DAYS[kind].format(row="old")}]) AS day
            FROM {both} WHERE {differs(_UNMOVING)}
            """,
        )


def touch_attempts(connection: duckdb.DuckDBPyConnection, instants: Iterable[datetime]) -> None:
    """Owe the months in which balances were asked for: an attempt that gave none is a reading, too."""
    months = {f"DATE '{instant:%Y-%m}-01'" for instant in instants}
    touch(connection, _READINGS, f"SELECT unnest(CAST([{', '.join(sorted(months))}] AS DATE[])) AS day")


class Spans:
    """How far evidence reached before a load; `touch_differences` owes the months by which it reaches otherwise."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._before = self._spans()

    def _spans(self) -> dict[str, tuple[tuple[str, bool], date, date]]:
        rows = self._connection.sql(
            "SELECT account_id, basis, is_fallback, first_date, through_date FROM staging.evidence"
        ).fetchall()
        return {account_id: ((basis, fallback), first, through) for account_id, basis, fallback, first, through in rows}

    def touch_everything(self) -> None:
        """Owe every month of which anything is known."""
        for _, first, through in self._before.values():
            self._touch(first, through)
        for table, instants in _INSTANTS.items():
            touch(
                self._connection,
                table,
                f"SELECT {_months('first_at', 'last_at')} AS day "
                f"FROM (SELECT min(instant) AS first_at, max(instant) AS last_at FROM ({instants}))",
            )

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
        months = _months(f"DATE '{first}'", f"DATE '{last}'")
        touch(self._connection, _SPEND, f"SELECT {months} AS day")
