"""The warehouse of the tables that need all accounts, in which tables of accounts are views of what shards exported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

import duckdb

from pipeline.distributed.exports import FETCHES, exported
from pipeline.forecasts.backtest_tables import replay_backtest_of_fleet
from pipeline.forecasts.engine import learn_pool
from pipeline.forecasts.forecast_inputs import Inputs, build_date, read_inputs
from pipeline.forecasts.month_inputs import budgets_of_month
from pipeline.forecasts.month_issues import issue_months, replay_months, store_months
from pipeline.forecasts.month_outlook import MonthOutlooks
from pipeline.lake.build_pointers import DataFile
from pipeline.lake.lake_reading import rows_of_files
from pipeline.lake.object_store import ObjectStore
from pipeline.models import quarantine
from pipeline.models.discovery import discover
from pipeline.models.lineage import record_lineage
from pipeline.schema.render import comments, create_table
from pipeline.schema.tables import ALL, Table
from pipeline.staging.load import LoadReport, load
from pipeline.support.clock import Clock
from pipeline.warehouse.model_refresh import refresh_model
from pipeline.warehouse.writer import Warehouse

if TYPE_CHECKING:
    import polars as pl

_OWN_FETCHES: Final = "staging.own_fetches"
"""Fetches that the fleet's warehouse loads itself: those of Drawdown's own entries."""
DICTIONARY: Final = "marts.data_dictionary"
"""Made of the catalogue, in which views have no constraints."""
_STORED: Final = frozenset({"staging.quarantine"})
"""Tables of accounts that steps of the fleet write to."""


def load_own(warehouse: Warehouse) -> LoadReport:
    """Load Drawdown's own entries: runs with their accounts, budgets and rates.

    Makes the data dictionary, too, while every table is one. Raises DrawdownError for a damaged landing file.
    """
    with warehouse.transaction() as connection:
        _restore_tables(connection)
        report = load(connection, warehouse.home.landing, warehouse.known_at, is_own_only=True)
        record_lineage(connection)
    refresh_model(warehouse, discover()[DICTIONARY])
    return report


def show_files(
    warehouse: Warehouse, store: ObjectStore, files: Mapping[str, Sequence[DataFile]], shown: Iterable[str]
) -> None:
    """Make tables of accounts the rows of files of the storage; a table without files is empty.

    `files` are those of all tables so far, by full name, and `shown` the tables to make now.
    """
    connection = warehouse.connection
    if not store.url.startswith("file:"):
        from pipeline.lake.read_only_files import ReadOnlyFiles

        readable = ReadOnlyFiles(store, (file for own in files.values() for file in own))
        if readable.protocol in connection.list_filesystems():
            connection.unregister_filesystem(readable.protocol)
        connection.register_filesystem(cast("Any", readable))
    with warehouse.transaction():
        for name in shown:
            _show(connection, ALL[name], [store.location(file.key) for file in files[name]])


def learn(warehouse: Warehouse) -> pl.DataFrame | None:
    """Return what all accounts learn from each other, the pool; None where there is no run yet.

    Accounts whose data makes it fail are left out.
    """
    connection = warehouse.connection
    as_of = build_date(connection)
    if as_of is None:
        return None
    inputs: Inputs = read_inputs(connection, as_of - timedelta(days=1))
    inputs = inputs.without(quarantine.upstream(connection, "forecasts.current_runway"))
    pool, _ = quarantine.isolate(
        lambda left_out: learn_pool(inputs.without(left_out).spend, inputs.as_of), inputs.account_ids, "the forecast"
    )
    return pool


def add_months(warehouse: Warehouse, clock: Clock, run_id: str, parts: Iterable[MonthOutlooks | None]) -> None:
    """Make the outlook of the running month from those of all shards, land today's, and load what is landed.

    Loads the newest backtest of all accounts together, too.
    """
    connection = warehouse.connection
    as_of = build_date(connection)
    with warehouse.transaction():
        store_months(connection, None)
        if as_of is not None:
            months = MonthOutlooks(budgets_of_month(connection, as_of))
            for part in parts:
                if part is not None:
                    months.merge(part)
            store_months(connection, months.frame())
            if not warehouse.is_replay:
                issue_months(connection, warehouse.home, clock, run_id, months.frame())
        replay_months(connection, warehouse.home.landing, warehouse.known_at)
        replay_backtest_of_fleet(connection, warehouse.home.landing, warehouse.known_at)


def _restore_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of accounts, which are views after a refresh, empty tables again."""
    views = _views(connection)
    for table in exported():
        if table.full_name not in views:
            continue
        if table is FETCHES:
            connection.execute(f"DROP VIEW {table.full_name}")
            connection.execute(f"ALTER TABLE {_OWN_FETCHES} RENAME TO {table.name}")
            continue
        if not table.is_view:
            connection.execute(f"DROP VIEW {table.full_name}")
            connection.execute(create_table(table))
        for comment in comments(table, kind="VIEW" if table.is_view else "TABLE"):
            connection.execute(comment)


def _show(connection: duckdb.DuckDBPyConnection, table: Table, locations: list[str]) -> None:
    name, columns = table.full_name, ", ".join(table.column_names)
    rows = rows_of_files(table, locations)
    if name in _STORED:
        connection.execute(f"DELETE FROM {name}")
        connection.execute(f"INSERT INTO {name} ({columns}) {rows}")
        return
    is_view = name in _views(connection)
    if table is FETCHES:
        if not is_view:
            connection.execute(f"ALTER TABLE {name} RENAME TO {_OWN_FETCHES.partition('.')[2]}")
        rows = f"{rows} UNION ALL SELECT {columns} FROM {_OWN_FETCHES}"
    elif not is_view:
        connection.execute(f"DROP TABLE {name}")
    connection.execute(f"CREATE OR REPLACE VIEW {name} AS {rows}")


def _views(connection: duckdb.DuckDBPyConnection) -> set[str]:
    rows = connection.execute(
        "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE database_name = current_database()"
    ).fetchall()
    return {name for (name,) in rows}
