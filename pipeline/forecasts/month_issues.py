"""Month outlooks as issued: landed on each day, and read back only from landing, like the forecasts of accounts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl

from pipeline.forecasts.landed_issues import unread_issues
from pipeline.forecasts.month_outlook import SCHEMA
from pipeline.landing.parquet_bodies import land_parquet
from pipeline.landing.store import MONTH_OUTLOOKS
from pipeline.models.unpublished import note_months_of_rows
from pipeline.schema.tables import ALL
from pipeline.staging.aliases import read_aliases
from pipeline.support.clock import Clock
from pipeline.support.home import Home

_KEY = ("scope", "scope_id", "issue_date")
_TABLE = ALL["forecasts.month_outlook"]


def issue_months(
    connection: duckdb.DuckDBPyConnection, home: Home, clock: Clock, run_id: str, outlooks: pl.DataFrame
) -> None:
    """Land the outlooks that have a forecast and no issue of today yet. `outlooks` is `MonthOutlooks.frame`."""
    issued = connection.sql(f"SELECT {', '.join(_KEY)} FROM {_TABLE.full_name}").pl()
    fresh = outlooks.join(issued, on=_KEY, how="anti").filter(
        (pl.col("issue_date") == clock.now().date()) & pl.col("total_p50_amount").is_not_null()
    )
    if not fresh.is_empty():
        land_parquet(home, clock, run_id, MONTH_OUTLOOKS, fresh.select(*SCHEMA))


def store_months(connection: duckdb.DuckDBPyConnection, outlooks: pl.DataFrame | None) -> None:
    """Replace `forecasts.current_month_outlook` by `MonthOutlooks.frame`. Run inside a transaction."""
    connection.execute("DELETE FROM forecasts.current_month_outlook")
    if outlooks is not None:
        connection.register("incoming", outlooks)
        connection.execute("INSERT INTO forecasts.current_month_outlook BY NAME SELECT * FROM incoming")
        connection.unregister("incoming")


def replay_months(connection: duckdb.DuckDBPyConnection, landing: Path, known_at: datetime | None = None) -> None:
    """Load every landed issue up to `known_at` that is not in forecasts.month_outlook; the first of a day counts.

    Run inside a transaction. Raises OSError or ValueError for a damaged landing file.
    """
    aliases = read_aliases(connection)
    for body, fetch_id, issued_at in unread_issues(connection, landing, MONTH_OUTLOOKS, _TABLE.full_name, known_at):
        is_account = pl.col("scope") == "account"
        named = pl.when(is_account).then(pl.col("scope_id").replace(aliases.names)).otherwise("scope_id")
        rows = body.with_columns(named.alias("scope_id")).unique(_KEY, keep="first", maintain_order=True)
        connection.register("incoming", rows.select(*SCHEMA))
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE arrived AS
            SELECT incoming.*, CAST(? AS TIMESTAMPTZ) AS issued_at_utc, ? AS fetch_id
            FROM incoming ANTI JOIN {_TABLE.full_name} AS known
                ON incoming.scope = known.scope AND incoming.scope_id = known.scope_id
                AND incoming.issue_date = known.issue_date
            """,
            [issued_at, fetch_id],
        )
        connection.unregister("incoming")
        connection.execute(f"INSERT INTO {_TABLE.full_name} BY NAME SELECT * FROM arrived ORDER BY ALL")
        note_months_of_rows(connection, _TABLE, "arrived")
        connection.execute("DROP TABLE arrived")
