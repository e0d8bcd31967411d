"""Which UTC months a load touches: the only thing that refresh, backfill, restatement and rebuild differ in.

A table that is recomputed by month (`Table.month_column`) finds the months that it owes in `staging.touched_months`
and takes them off when it has recomputed them, in one transaction. So a run that died in between owes them still.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

import duckdb

from pipeline.schema.tables import ALL, Table

MONTHLY_TABLES = tuple(table.full_name for table in ALL.values() if table.month_column)
"""Tables that are recomputed by month."""

READINGS, CLAIMS, ENTRIES, RATES = (
    "core.balance_snapshots", "core.vendor_claims", "core.ledger_entries", "core.fx_rates",
)  # fmt: skip
"""Tables whose rows are records: a record touches the month that it stands in."""

MONEY = tuple(table for table in MONTHLY_TABLES if table not in (READINGS, CLAIMS, ENTRIES, RATES))
"""Tables that follow from where money went between balances: a change reaches the intervals around it."""

# Columns whose change leaves everything as it is, and those whose change does not move money.
_UNSEEN = frozenset({"row_number", "loaded_at_utc", "extra_json"})
_UNMOVING = _UNSEEN | {"fetch_id", "observed_at_utc", "description"}

# How long a fall of the balance has a say in what a later rise is taken for.
_REMEMBERED_DAYS = 28

# When the entry took effect that a record is, or stands for.
_ENTERED = {
    "ledger_entries": "{row}.effective_at_utc",
    "orders": "coalesce({row}.paid_at_utc, {row}.ordered_at_utc)",
    "payments": "coalesce({row}.paid_at_utc, {row}.ordered_at_utc)",
}

# From when to when a record's money may have moved.
_MOVED = {
    "balances": ("{row}.observed_at_utc", "{row}.observed_at_utc"),
    "ledger_entries": (_ENTERED["ledger_entries"], _ENTERED["ledger_entries"]),
    # Where the vendor shows no ledger, what was paid for stands in for it; payments document top-ups.
    "orders": (_ENTERED["orders"], _ENTERED["orders"]),
    "payments": (_ENTERED["payments"], _ENTERED["payments"]),
    "usage_days": (
        "CAST({row}.usage_date AS TIMESTAMP) AT TIME ZONE 'UTC'",
        "CAST({row}.usage_date + 1 AS TIMESTAMP) AT TIME ZONE 'UTC'",
    ),
}
_RECORDED = {
    "balances": (READINGS, "{row}.observed_at_utc"),
    "vendor_claims": (CLAIMS, "{row}.observed_at_utc"),
    **{kind: (ENTRIES, entered) for kind, entered in _ENTERED.items()},
}

# Every instant of every entry.
_ENTRIES = " UNION ALL ".join(
    f"SELECT {kind}.account_id, {entered.format(row=kind)} AS instant FROM staging.{kind}"
    for kind, entered in _ENTERED.items()
)

# Every instant that anything is known of.
_INSTANTS = f"""
    SELECT observed_at_utc AS instant FROM staging.balances
    UNION ALL SELECT fetched_at_utc FROM staging.fetches
    UNION ALL SELECT instant FROM ({_ENTRIES})
    UNION ALL SELECT CAST(usage_date AS TIMESTAMP) AT TIME ZONE 'UTC' FROM staging.usage_days
    UNION ALL SELECT observed_at_utc FROM staging.vendor_claims
"""


def touch(connection: duckdb.DuckDBPyConnection, tables: Sequence[str], days: str) -> None:
    """Let tables owe the months of the days or instants that a query gives in its one column `day`."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE touched AS
        SELECT DISTINCT CAST(date_trunc('month', day) AS DATE) AS touched_month FROM ({days}) WHERE day IS NOT NULL
        """
    )
    for table in tables:
        connection.execute(
            f"""
            INSERT INTO staging.touched_months (table_name, touched_month)
            SELECT '{table}', touched_month FROM touched WHERE touched_month NOT IN (
                SELECT touched_month FROM staging.touched_months WHERE table_name = '{table}'
            )
            """
        )
    connection.execute("DROP TABLE touched")


def touch_money(connection: duckdb.DuckDBPyConnection, changed: str) -> None:
    """Let the tables of money owe all months that a change reaches.

    `changed` is a query with the columns account_id, first_at and last_at (instants). An interval between balances
    is judged beside its neighbours, so the reach is from the balance before to the second balance after.
    """

    def other(which: str, than: str) -> str:
        return f"""(
            SELECT {which}(balances.observed_at_utc) FROM staging.balances AS balances
            WHERE balances.account_id = reached.account_id AND balances.observed_at_utc {than}
        )"""

    touch(
        connection,
        MONEY,
        f"""
        SELECT unnest(generate_series(
            date_trunc('month', coalesce(before_at, first_at)),
            greatest(coalesce(beyond_at, after_at, last_at), last_at + INTERVAL {_REMEMBERED_DAYS} DAY),
            INTERVAL 1 MONTH
        )) AS day
        FROM (
            SELECT reached.*, {other("min", "> reached.after_at")} AS beyond_at
            FROM (
                SELECT reached.*, {other("max", "< reached.first_at")} AS before_at,
                    {other("min", "> reached.last_at")} AS after_at
                FROM (
                    SELECT account_id, min(first_at) AS first_at, max(last_at) AS last_at FROM ({changed})
                    WHERE first_at IS NOT NULL GROUP BY account_id, date_trunc('month', first_at)
                ) AS reached
            ) AS reached
        )
        """,
    )


def touch_rows(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Owe the months of the rows in `arrived` that are new or say something else than those in `standing`."""
    kind = next((kind for kind in {**_MOVED, **_RECORDED} if table.name.endswith(f"_{kind}")), None)
    same_key = " AND ".join(f"old.{name} = new.{name}" for name in table.key)
    both = f"arrived AS new LEFT JOIN standing AS old ON {same_key}"

    def differs(unmoving: frozenset[str]) -> str:
        names = (name for name in table.column_names if name not in unmoving)
        return " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in names)

    if kind in _RECORDED:
        target, instant = _RECORDED[kind]
        rows = f"{instant.format(row='new')}, {instant.format(row='old')}"
        touch(connection, [target], f"SELECT unnest([{rows}]) AS day FROM {both} WHERE {differs(_UNSEEN)}")
    if kind in _MOVED:
        first, last = _MOVED[kind]
        # An interval names the answers that its balances came from.
        moved = differs(_UNSEEN if kind == "balances" else _UNMOVING)
        touch_money(
            connection,
            " UNION ALL ".join(
                f"SELECT {row}.account_id, {first.format(row=row)} AS first_at, {last.format(row=row)} AS last_at "
                f"FROM {both} WHERE {moved}"
                for row in ("new", "old")
            ),
        )


def touch_statements(connection: duckdb.DuckDBPyConnection) -> None:
    """Owe the months of the usage statements in `incoming`: what was said earlier of a day divides it."""
    first, last = (each.format(row="incoming") for each in _MOVED["usage_days"])
    touch_money(connection, f"SELECT account_id, {first} AS first_at, {last} AS last_at FROM incoming")


def touch_attempts(connection: duckdb.DuckDBPyConnection, instants: Iterable[datetime]) -> None:
    """Owe the months in which balances were asked for: an attempt that gave none is a reading, too."""
    months = {f"DATE '{instant:%Y-%m}-01'" for instant in instants}
    touch(connection, [READINGS], f"SELECT unnest(CAST([{', '.join(sorted(months))}] AS DATE[])) AS day")


def touch_polls(connection: duckdb.DuckDBPyConnection) -> None:
    """Owe the months of the requests in `incoming`: what was asked for beside a balance says how to read it."""
    touch_money(connection, "SELECT account_id, fetched_at_utc AS first_at, fetched_at_utc AS last_at FROM incoming")


def touch_days(connection: duckdb.DuckDBPyConnection, tables: Iterable[str], rows: str, *, hold_on: bool) -> None:
    """Let tables owe the months of the days in a query's one column `day`, as far as accounts have evidence.

    With `hold_on`, all months from those days on.
    """
    within = "known.month >= date_trunc('month', rows.day)"
    if not hold_on:
        within += " AND known.month <= rows.day"
    touch(
        connection,
        list(tables),
        f"""
        SELECT known.month AS day
        FROM (
            SELECT unnest(generate_series(
                date_trunc('month', min(first_date)), max(through_date), INTERVAL 1 MONTH
            )) AS month FROM staging.evidence
        ) AS known
        INNER JOIN (SELECT DISTINCT date_trunc('month', day) AS day FROM ({rows})) AS rows ON {within}
        """,
    )


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

    def touch_everything(self, tables: Sequence[str]) -> None:
        """Let tables owe every month of which anything is known of an account."""
        touch(
            self._connection,
            tables,
            f"""
            SELECT unnest(generate_series(date_trunc('month', first_at), last_at, INTERVAL 1 MONTH)) AS day
            FROM (SELECT min(instant) AS first_at, max(instant) AS last_at FROM ({_INSTANTS}))
            """,
        )

    def touch_differences(self) -> None:
        """Owe the months in which an account's days begin, end or are known otherwise than before."""
        after = self._spans()
        for account_id in self._before.keys() | after.keys():
            old, new = self._before.get(account_id), after.get(account_id)
            if old == new:
                continue
            if old is None or new is None or old[0] != new[0]:
                # What is an entry of the account follows from what its evidence is.
                touch(
                    self._connection,
                    [ENTRIES],
                    f"SELECT instant AS day FROM ({_ENTRIES}) WHERE account_id = '{account_id}'",
                )
                for _, first, through in filter(None, (old, new)):
                    self._touch(account_id, first, through)
                continue
            if old[1] != new[1]:
                self._touch(account_id, min(old[1], new[1]), max(old[1], new[1]))
            if old[2] != new[2]:
                self._touch(account_id, min(old[2], new[2]), max(old[2], new[2]))

    def _touch(self, account_id: str, first: date, last: date) -> None:
        touch_money(
            self._connection,
            f"""
            SELECT '{account_id}' AS account_id, CAST(day AS TIMESTAMP) AT TIME ZONE 'UTC' AS first_at,
                least(day + INTERVAL 1 MONTH, TIMESTAMP '{last}' + INTERVAL 1 DAY) AT TIME ZONE 'UTC' AS last_at
            FROM (
                SELECT unnest(generate_series(TIMESTAMP '{first}', TIMESTAMP '{last}', INTERVAL 1 MONTH)) AS day
            )
            """,
        )
