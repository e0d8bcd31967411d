"""Dirty UTC months: the only difference between refresh, backfill, restatement and rebuild.

A table that is recomputed by month (`Table.month_column`) reads its dirty months from `staging.dirty_months`, and
deletes them when it has recomputed them, in the same transaction. So they stay dirty if a run dies in between.

A load records the changes: time, account and table of facts. Each monthly table declares, for each table that it reads,
how far around a change its own rows may differ (`Table.reach`); the dirty months follow from these declarations along
the graph (`settle`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import cache
from graphlib import TopologicalSorter

import duckdb

from pipeline.models.discovery import discover
from pipeline.models.month_ranges import utc_date
from pipeline.schema.sql_folder import shown
from pipeline.schema.tables import ALL, TABLE_FILE, Reach, Table
from pipeline.support.errors import DrawdownError

MONTHLY_TABLES = tuple(table.full_name for table in ALL.values() if table.month_column)
"""Tables that are recomputed by month."""

READINGS, CLAIMS, ENTRIES, RATES = (
    "core.balance_snapshots", "core.vendor_claims", "core.ledger_entries", "core.fx_rates",
)  # fmt: skip
"""Tables of records: a record marks its month as dirty."""

USAGE, POLLS, EVIDENCE = "core.usage_days", "staging.fetches", "staging.evidence"
"""Further kinds of facts that a change can concern."""

MONEY = tuple(
    table for table in MONTHLY_TABLES if table not in (READINGS, CLAIMS, ENTRIES, RATES) and not ALL[table].follows
)
"""Tables that depend on the movements between balances: a change reaches as far as they declare."""

# Columns whose change affects nothing, and those whose change moves no money.
_UNSEEN = frozenset({"row_number", "loaded_at_utc", "extra_json"})
_UNMOVING = _UNSEEN | {"fetch_id", "observed_at_utc", "description"}

# Effective time of the entry that a record is, or replaces.
_ENTERED = {
    "ledger_entries": "{row}.effective_at_utc",
    "orders": "coalesce({row}.paid_at_utc, {row}.ordered_at_utc)",
    "payments": "coalesce({row}.paid_at_utc, {row}.ordered_at_utc)",
}

# Time span in which a record's money may have moved, and the kind of fact.
_MOVED = {
    "balances": (READINGS, "{row}.observed_at_utc", "{row}.observed_at_utc"),
    # If the vendor shows no ledger, paid orders replace it; payments document top-ups.
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

# Instants of all entries.
_ENTRIES = " UNION ALL ".join(
    f"SELECT {kind}.account_id, {entered.format(row=kind)} AS instant FROM staging.{kind}"
    for kind, entered in _ENTERED.items()
)

# Instants of all known facts.
_INSTANTS = f"""
    SELECT observed_at_utc AS instant FROM staging.balances
    UNION ALL SELECT fetched_at_utc FROM staging.fetches
    UNION ALL SELECT instant FROM ({_ENTRIES})
    UNION ALL SELECT CAST(usage_date AS TIMESTAMP) AT TIME ZONE 'UTC' FROM staging.usage_days
    UNION ALL SELECT observed_at_utc FROM staging.vendor_claims
"""
_RATED = "SELECT CAST(rate_date AS TIMESTAMP) AT TIME ZONE 'UTC' AS instant FROM staging.fx_rates"


def mark_dirty(connection: duckdb.DuckDBPyConnection, tables: Sequence[str], days: str) -> None:
    """Mark the months of the days or instants in a query's one column `day` as dirty."""
    listed = ", ".join(f"'{table}'" for table in tables)
    _mark_each(connection, f"SELECT unnest([{listed}]) AS table_name, day FROM ({days})")


def _mark_each(connection: duckdb.DuckDBPyConnection, days: str) -> None:
    """Mark the months in a query's columns `table_name` and `day` as dirty."""
    connection.execute(
        f"""
        INSERT INTO staging.dirty_months (table_name, dirty_month)
        SELECT reached.table_name, reached.dirty_month FROM (
            SELECT DISTINCT table_name, CAST(date_trunc('month', day) AS DATE) AS dirty_month
            FROM ({days}) WHERE day IS NOT NULL
        ) AS reached
        ANTI JOIN staging.dirty_months AS known
            ON reached.table_name = known.table_name AND reached.dirty_month = known.dirty_month
        """
    )


def mark_all_dirty(connection: duckdb.DuckDBPyConnection, tables: Iterable[str]) -> None:
    """Mark every month with any fact as dirty."""
    wanted = list(tables)
    rated = [table for table in wanted if table == RATES]
    for names, instants in ((rated, _RATED), ([table for table in wanted if table != RATES], _INSTANTS)):
        if names:
            mark_dirty(
                connection,
                names,
                f"""
                SELECT unnest(generate_series(date_trunc('month', first_at), last_at, INTERVAL 1 MONTH)) AS day
                FROM (SELECT min(instant) AS first_at, max(instant) AS last_at FROM ({instants}))
                """,
            )


def begin(connection: duckdb.DuckDBPyConnection) -> None:
    """Start recording the changes of a load."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE changes "
        "(fact VARCHAR, account_id VARCHAR, first_at TIMESTAMPTZ, last_at TIMESTAMPTZ)"
    )


def note_change(connection: duckdb.DuckDBPyConnection, fact: str, changed: str) -> None:
    """Record a change of facts: `changed` is a query with the columns account_id, first_at and last_at (instants).

    One row for each account and month is kept, so that a first load of millions of rows stays small.
    """
    connection.execute(
        f"""
        INSERT INTO changes
        SELECT '{fact}', account_id, min(first_at), max(last_at) FROM ({changed})
        WHERE first_at IS NOT NULL GROUP BY account_id, date_trunc('month', {utc_date("first_at")})
        """
    )


def settle(connection: duckdb.DuckDBPyConnection) -> None:
    """Mark all months that the recorded changes reach as dirty, and clear the record."""
    if connection.execute("SELECT 1 FROM changes LIMIT 1").fetchall():
        names = _in_order()
        spans = {name: (_reached(source, reach) for source, reach in ALL[name].reach.items()) for name in names}
        reached = [f"{_ranges(name)} AS ({' UNION '.join(spans[name])})" for name in names]
        months = "unnest(generate_series(date_trunc('month', first_at), last_at, INTERVAL 1 MONTH)) AS day"
        days = " UNION ALL ".join(f"SELECT '{name}' AS table_name, {months} FROM {_ranges(name)}" for name in names)
        # Of the readings of a day, the first and the last reach furthest: a span ends at most a day further away than
        # at the reading itself, and there are fewer to search.
        _mark_each(
            connection,
            f"""
            WITH reading_times AS MATERIALIZED (
                SELECT account_id, unnest([min(observed_at_utc), max(observed_at_utc)]) AS observed_at_utc
                FROM staging.balances WHERE account_id IN (SELECT account_id FROM changes)
                GROUP BY account_id, {utc_date("observed_at_utc")}
            ),
            {", ".join(reached)}
            {days}
            """,
        )
    connection.execute("DROP TABLE changes")


@cache
def _in_order() -> tuple[str, ...]:
    """Tables of MONEY, each after those that it reads. Raises DrawdownError for one that declares no reach."""
    for name in MONEY:
        if not ALL[name].reach:
            raise DrawdownError(
                f"{shown(ALL[name].folder / TABLE_FILE)}: a table with a month_column needs a `reach`: the tables of "
                "facts that it reads; or `follows`: monthly tables that it reads; without a month_column it is rebuilt "
                "whole"
            )
    graph = {name: [source for source in ALL[name].reach if source in MONEY] for name in MONEY}
    return tuple(TopologicalSorter(graph).static_order())


def _ranges(name: str) -> str:
    return f"reached_{name.replace('.', '_')}"


def _reached(source: str, reach: Reach) -> str:
    """Query for the time spans, by account, in which rows may differ because `source` changed."""
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


def mark_rows(connection: duckdb.DuckDBPyConnection, table: Table, arrived: str, *, has_standing: bool) -> None:
    """Mark the months of rows that are new or differ from those in `standing` as dirty.

    `arrived` is a relation with the rows that are about to be stored. Without `has_standing`, all of them are new.
    """
    kind = next((kind for kind in {**_MOVED, **_RECORDED} if table.name.endswith(f"_{kind}")), None)
    same_key = " AND ".join(f"old.{name} = new.{name}" for name in table.key)
    both = f"{arrived} AS new" + (f" LEFT JOIN standing AS old ON {same_key}" if has_standing else "")
    sides = ("new", "old") if has_standing else ("new",)

    def differs(unmoving: frozenset[str]) -> str:
        if not has_standing:
            return "true"
        names = (name for name in table.column_names if name not in unmoving)
        return " OR ".join(f"old.{name} IS DISTINCT FROM new.{name}" for name in names)

    if kind in _RECORDED:
        target, instant = _RECORDED[kind]
        marked = " UNION ALL ".join(
            f"SELECT DISTINCT {utc_date(instant.format(row=side))} AS day FROM {both} WHERE {differs(_UNSEEN)}"
            for side in sides
        )
        mark_dirty(connection, [target], marked)
    if kind in _MOVED:
        fact, first, last = _MOVED[kind]
        # An interval contains the fetch ids of its balances' answers.
        moved = differs(_UNSEEN if kind == "balances" else _UNMOVING)
        note_change(
            connection,
            fact,
            " UNION ALL ".join(
                f"SELECT {side}.account_id, {first.format(row=side)} AS first_at, {last.format(row=side)} AS last_at "
                f"FROM {both} WHERE {moved}"
                for side in sides
            ),
        )


def mark_statements(connection: duckdb.DuckDBPyConnection) -> None:
    """Mark the months of usage statements in `incoming` as dirty: earlier statements about a day divide it."""
    fact, first, last = (each.format(row="incoming") for each in _MOVED["usage_days"])
    note_change(connection, fact, f"SELECT account_id, {first} AS first_at, {last} AS last_at FROM incoming")


@contextmanager
def marking_retracted(connection: duckdb.DuckDBPyConnection, accounts: Sequence[str]) -> Iterator[None]:
    """Mark the months of these accounts' readings that start or stop counting during the block as dirty.

    A new version of a file withdraws readings that none of its rows names.
    """
    counted = "SELECT account_id, observed_at_utc FROM staging.balances WHERE account_id IN (SELECT unnest(?))"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE counted_before AS {counted}", [accounts])
    yield
    connection.execute(f"CREATE OR REPLACE TEMP TABLE counted_after AS {counted}", [accounts])
    changed = """
        (FROM counted_before EXCEPT FROM counted_after) UNION ALL (FROM counted_after EXCEPT FROM counted_before)
    """
    mark_dirty(connection, [READINGS], f"SELECT observed_at_utc AS day FROM ({changed})")
    rows = f"SELECT account_id, observed_at_utc AS first_at, observed_at_utc AS last_at FROM ({changed})"
    note_change(connection, READINGS, rows)
    connection.execute("DROP TABLE counted_before")
    connection.execute("DROP TABLE counted_after")


def mark_attempts(connection: duckdb.DuckDBPyConnection, instants: Iterable[datetime]) -> None:
    """Mark the months of balance requests as dirty: a failed attempt is a reading, too."""
    months = {f"DATE '{instant:%Y-%m}-01'" for instant in instants}
    mark_dirty(connection, [READINGS], f"SELECT unnest(CAST([{', '.join(sorted(months))}] AS DATE[])) AS day")


def mark_polls(connection: duckdb.DuckDBPyConnection) -> None:
    """Mark the months of requests in `incoming` as dirty: they decide how a balance is read."""
    asked = "SELECT account_id, fetched_at_utc AS first_at, fetched_at_utc AS last_at FROM incoming"
    note_change(connection, POLLS, asked)


def mark_days(connection: duckdb.DuckDBPyConnection, tables: Iterable[str], rows: str, *, hold_on: bool) -> None:
    """Mark the months of the days in a query's one column `day` as dirty, from the first fact to the last.

    With `hold_on`, all months from those days on.
    """
    within = "known.month >= date_trunc('month', rows.day)"
    if not hold_on:
        within += " AND known.month <= rows.day"
    mark_dirty(
        connection,
        list(tables),
        f"""
        SELECT known.month AS day
        FROM (
            SELECT unnest(generate_series(
                date_trunc('month', min(instant)), max(instant), INTERVAL 1 MONTH
            )) AS month FROM ({_INSTANTS})
        ) AS known
        INNER JOIN (SELECT DISTINCT date_trunc('month', day) AS day FROM ({rows})) AS rows ON {within}
        """,
    )


def mark_followers(connection: duckdb.DuckDBPyConnection, table: Table, months: Iterable[date]) -> None:
    """Mark the months of tables that follow a table (`Table.follows`) as dirty, given months in which rows changed."""
    firsts = list(months)
    if not firsts:
        return
    for follower in map(ALL.__getitem__, MONTHLY_TABLES):
        for source, reach in follower.follows.items():
            # A view has the changes of its inputs.
            if table.full_name in (discover()[source].reads if ALL[source].is_view else [source]):
                mark_dirty(
                    connection,
                    [follower.full_name],
                    f"""
                    SELECT unnest(generate_series(
                        date_trunc('month', first_date - INTERVAL {reach.look_ahead_days} DAY),
                        first_date + INTERVAL 1 MONTH - INTERVAL 1 DAY + INTERVAL {reach.look_back_days} DAY,
                        INTERVAL 1 MONTH
                    )) AS day
                    FROM (SELECT unnest([{", ".join(f"DATE '{first}'" for first in firsts)}]) AS first_date)
                    """,
                )


class Spans:
    """Range of the evidence before a load; `mark_differences` marks the months by which it has changed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._before = self._spans()

    def _spans(self) -> dict[str, tuple[tuple[str, bool], date, date]]:
        rows = self._connection.sql(
            "SELECT account_id, basis, is_fallback, first_date, through_date FROM staging.evidence"
        ).fetchall()
        return {account_id: ((basis, fallback), first, through) for account_id, basis, fallback, first, through in rows}

    def mark_differences(self) -> None:
        """Record the days by which the range or the kind of an account's evidence has changed."""
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
            # The entries of an account depend on the kind of its evidence.
            listed = _table("account_id VARCHAR", [(each,) for each in refounded])
            mark_dirty(
                self._connection,
                [ENTRIES],
                f"SELECT DISTINCT {utc_date('instant')} AS day FROM ({_ENTRIES}) "
                f"WHERE account_id IN (SELECT account_id FROM {listed})",
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
    """Derived table of texts and dates. Account ids are validated identifiers, and quoted nevertheless."""
    names = [each.split() for each in columns.split(", ")]
    values = ", ".join(
        "(" + ", ".join("'" + str(value).replace("'", "''") + "'" for value in row) + ")" for row in rows
    )
    casts = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in names)
    return f"(SELECT {casts} FROM (VALUES {values}) AS listed({', '.join(name for name, _ in names)}))"
