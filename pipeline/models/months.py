"""Which UTC months a load touches: the only thing that refresh, backfill, restatement and rebuild differ in.

A table that is recomputed by month (`Table.month_column`) finds the months that it owes in `staging.touched_months`
and removes them when it has recomputed them, in one transaction. So a run that died in between still owes them.

A load notes what changed: when, of which account, in which table of facts. How far around a change the rows of a table
may differ is declared with the table (`Table.reach`), for each table that it reads; the months follow from these
declarations along the graph (`settle`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import cache
from graphlib import TopologicalSorter

import duckdb

from pipeline.schema.tables import ALL, Reach, Table

MONTHLY_TABLES = tuple(table.full_name for table in ALL.values() if table.month_column)
"""Tables that are recomputed by month."""

READINGS, CLAIMS, ENTRIES, RATES = (
    "core.balance_snapshots", "core.vendor_claims", "core.ledger_entries", "core.fx_rates",
)  # fmt: skip
"""Tables whose rows are records: a record touches the month that it falls in."""

USAGE, POLLS, EVIDENCE = "core.usage_days", "staging.fetches", "staging.evidence"
"""Further facts that a change can be one of."""

MONEY = tuple(table for table in MONTHLY_TABLES if table not in (READINGS, CLAIMS, ENTRIES, RATES))
"""Tables that follow from where money went between balances: a change reaches as far as they declare."""

# Columns whose change leaves everything as it is, and those whose change does not move money.
_UNSEEN = frozenset({"row_number", "loaded_at_utc", "extra_json"})
_UNMOVING = _UNSEEN | {"fetch_id", "observed_at_utc", "description"}

# When the entry took effect that a record is, or replaces.
_ENTERED = {
    "ledger_entries": "{row}.effective_at_utc",
    "orders": "coalesce({row}.paid_at_utc, {row}.ordered_at_utc)",
    "payments": "coalesce({row}.paid_at_utc, {row}.ordered_at_utc)",
}

# From when to when a record's money may have moved, and which fact it is.
_MOVED = {
    "balances": (READINGS, "{row}.observed_at_utc", "{row}.observed_at_utc"),
    # Where the vendor shows no ledger, paid orders replace it; payments document top-ups.
    **{kind: (ENTRIES, entered, entered) for kind, entered in _ENTERED.items()},
    "usage_days": (
        USAGE,
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
_RATED = "SELECT CAST(rate_date AS TIMESTAMP) AT TIME ZONE 'UTC' AS instant FROM staging.fx_rates"


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


def touch_everything(connection: duckdb.DuckDBPyConnection, tables: Iterable[str]) -> None:
    """Let tables owe every month of which anything is known."""
    for table in tables:
        touch(
            connection,
            [table],
            f"""
            SELECT unnest(generate_series(date_trunc('month', first_at), last_at, INTERVAL 1 MONTH)) AS day
            FROM (
                SELECT min(instant) AS first_at, max(instant) AS last_at
                FROM ({_RATED if table == RATES else _INSTANTS})
            )
            """,
        )


def begin(connection: duckdb.DuckDBPyConnection) -> None:
    """Begin to note what a load changes."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE changes "
        "(fact VARCHAR, account_id VARCHAR, first_at TIMESTAMPTZ, last_at TIMESTAMPTZ)"
    )


def note_change(connection: duckdb.DuckDBPyConnection, fact: str, changed: str) -> None:
    """Note a change of facts: `changed` is a query with the columns account_id, first_at and last_at (instants).

    One row an account and month is kept, so that a first load of millions of rows stays small.
    """
    connection.execute(
        f"""
        INSERT INTO changes
        SELECT '{fact}', account_id, min(first_at), max(last_at) FROM ({changed})
        WHERE first_at IS NOT NULL GROUP BY account_id, date_trunc('month', first_at)
        """
    )


def settle(connection: duckdb.DuckDBPyConnection) -> None:
    """Let the tables of money owe all months that the noted changes reach, and forget the changes."""
    if connection.execute("SELECT 1 FROM changes LIMIT 1").fetchall():
        connection.execute(
            """
            CREATE OR REPLACE TEMP TABLE reading_times AS
            SELECT DISTINCT account_id, observed_at_utc FROM staging.balances
            WHERE account_id IN (SELECT account_id FROM changes)
            """
        )
        for name in _in_order():
            parts = [_reached(source, reach) for source, reach in ALL[name].reach.items()]
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {_ranges(name)} AS {' UNION '.join(parts)}")
            touch(
                connection,
                [name],
                f"""
                SELECT unnest(generate_series(date_trunc('month', first_at), last_at, INTERVAL 1 MONTH)) AS day
                FROM {_ranges(name)}
                """,
            )
        for name in _in_order():
            connection.execute(f"DROP TABLE {_ranges(name)}")
        connection.execute("DROP TABLE reading_times")
    connection.execute("DROP TABLE changes")


@cache
def _in_order() -> tuple[str, ...]:
    """The tables of money, each after those that it reads."""
    graph = {name: [source for source in ALL[name].reach if source in MONEY] for name in MONEY}
    return tuple(TopologicalSorter(graph).static_order())


def _ranges(name: str) -> str:
    return f"reached_{name.replace('.', '_')}"


def _reached(source: str, reach: Reach) -> str:
    """The query for the spans of time in which rows may differ, by account, because `source` changed."""
    changed = (
        f"SELECT account_id, first_at, last_at FROM {_ranges(source)}"
        if source in MONEY
        else f"SELECT account_id, first_at, last_at FROM changes WHERE fact = '{source}'"
    )
    first = f"changed.first_at - INTERVAL {reach.look_ahead_days} DAY"
    last = f"changed.last_at + INTERVAL {reach.look_back_days} DAY"
    if reach.has_neighbours:
        first = f"""coalesce((
            SELECT max(observed_at_utc) FROM reading_times
            WHERE reading_times.account_id = changed.account_id AND observed_at_utc < {first}
        ), {first})"""
        last = f"""coalesce((
            SELECT min(observed_at_utc) FROM reading_times
            WHERE reading_times.account_id = changed.account_id AND observed_at_utc > {last}
        ), {last})"""
    return f"SELECT account_id, {first} AS first_at, {last} AS last_at FROM ({changed}) AS changed"


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
        fact, first, last = _MOVED[kind]
        # An interval names the answers that its balances came from.
        moved = differs(_UNSEEN if kind == "balances" else _UNMOVING)
        note_change(
            connection,
            fact,
            " UNION ALL ".join(
                f"SELECT {row}.account_id, {first.format(row=row)} AS first_at, {last.format(row=row)} AS last_at "
                f"FROM {both} WHERE {moved}"
                for row in ("new", "old")
            ),
        )


def touch_statements(connection: duckdb.DuckDBPyConnection) -> None:
    """Owe the months of the usage statements in `incoming`: what was said earlier of a day divides it."""
    fact, first, last = (each.format(row="incoming") for each in _MOVED["usage_days"])
    note_change(connection, fact, f"SELECT account_id, {first} AS first_at, {last} AS last_at FROM incoming")


@contextmanager
def touching_retracted(connection: duckdb.DuckDBPyConnection, accounts: Sequence[str]) -> Iterator[None]:
    """Owe the months of the readings of these accounts that what is done within makes count, or count no longer.

    A new version of a file takes readings back that no row of it names.
    """
    counted = "SELECT account_id, observed_at_utc FROM staging.balances WHERE account_id IN (SELECT unnest(?))"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE counted_before AS {counted}", [accounts])
    yield
    connection.execute(f"CREATE OR REPLACE TEMP TABLE counted_after AS {counted}", [accounts])
    changed = """
        (FROM counted_before EXCEPT FROM counted_after) UNION ALL (FROM counted_after EXCEPT FROM counted_before)
    """
    touch(connection, [READINGS], f"SELECT observed_at_utc AS day FROM ({changed})")
    rows = f"SELECT account_id, observed_at_utc AS first_at, observed_at_utc AS last_at FROM ({changed})"
    note_change(connection, READINGS, rows)
    connection.execute("DROP TABLE counted_before")
    connection.execute("DROP TABLE counted_after")


def touch_attempts(connection: duckdb.DuckDBPyConnection, instants: Iterable[datetime]) -> None:
    """Owe the months in which balances were asked for: an attempt that gave none is a reading, too."""
    months = {f"DATE '{instant:%Y-%m}-01'" for instant in instants}
    touch(connection, [READINGS], f"SELECT unnest(CAST([{', '.join(sorted(months))}] AS DATE[])) AS day")


def touch_polls(connection: duckdb.DuckDBPyConnection) -> None:
    """Owe the months of the requests in `incoming`: what was asked for beside a balance says how to read it."""
    asked = "SELECT account_id, fetched_at_utc AS first_at, fetched_at_utc AS last_at FROM incoming"
    note_change(connection, POLLS, asked)


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

    def touch_differences(self) -> None:
        """Note the days by which an account's evidence begins, ends or is known otherwise than before."""
        after = self._spans()
        changed: list[tuple[str, date, date]] = []
        refounded: list[str] = []
        for account_id in self._before.keys() | after.keys():
            old, new = self._before.get(account_id), after.get(account_id)
            if old == new:
                continue
            if old is None or new is None or old[0] != new[0]:
                refounded.append(account_id)
                changed += [(account_id, first, through) for _, first, through in filter(None, (old, new))]
                continue
            if old[1] != new[1]:
                changed.append((account_id, min(old[1], new[1]), max(old[1], new[1])))
            if old[2] != new[2]:
                changed.append((account_id, min(old[2], new[2]), max(old[2], new[2])))
        if refounded:
            # What is an entry of an account follows from what its evidence is.
            listed = _table("account_id VARCHAR", [(each,) for each in refounded])
            touch(
                self._connection,
                [ENTRIES],
                f"SELECT instant AS day FROM ({_ENTRIES}) WHERE account_id IN (SELECT account_id FROM {listed})",
            )
        if changed:
            listed = _table("account_id VARCHAR, first_date DATE, last_date DATE", changed)
            note_change(
                self._connection,
                EVIDENCE,
                f"""
                SELECT account_id, CAST(day AS TIMESTAMP) AT TIME ZONE 'UTC' AS first_at,
                    least(day + INTERVAL 1 MONTH, CAST(last_date AS TIMESTAMP) + INTERVAL 1 DAY) AT TIME ZONE 'UTC'
                        AS last_at
                FROM (
                    SELECT account_id, last_date, unnest(generate_series(
                        CAST(first_date AS TIMESTAMP), CAST(last_date AS TIMESTAMP), INTERVAL 1 MONTH
                    )) AS day FROM {listed}
                )
                """,
            )


def _table(columns: str, rows: Sequence[tuple[object, ...]]) -> str:
    """A derived table of texts and dates; account ids are checked identifiers, and quoted all the same."""
    names = [each.split() for each in columns.split(", ")]
    values = ", ".join(
        "(" + ", ".join("'" + str(value).replace("'", "''") + "'" for value in row) + ")" for row in rows
    )
    casts = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in names)
    return f"(SELECT {casts} FROM (VALUES {values}) AS listed({', '.join(name for name, _ in names)}))"
