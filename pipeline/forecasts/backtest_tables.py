"""Backtests as landed, and the tables that hold the newest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl

from pipeline.forecasts.backtest import Backtest
from pipeline.forecasts.backtest_month_ends import MONTH_ENDS
from pipeline.forecasts.backtest_scores import CALIBRATION, SCORES
from pipeline.landing.own import ENVELOPE, read_own
from pipeline.landing.parquet_bodies import land_parquet, read_parquet
from pipeline.landing.store import BACKTESTS, OWN, day_folders, each
from pipeline.staging.aliases import read_aliases
from pipeline.support.clock import Clock
from pipeline.support.home import Home

_TABLES: Final = {"backtest_scores": SCORES, "calibration": CALIBRATION, "backtest_month_ends": MONTH_ENDS}


def land_backtest(home: Home, clock: Clock, run_id: str, result: Backtest) -> str:
    """Land the result of a backtest as one body with the rows of all tables; returns its fetch id."""
    # One body, so that scores and calibration are always of the same backtest.
    parts = zip(_TABLES, (result.scores, result.calibration, result.month_ends), strict=True)
    rows = pl.concat([part.with_columns(pl.lit(name).alias("table_name")) for name, part in parts], how="diagonal")
    return land_parquet(home, clock, run_id, BACKTESTS, rows)


def replay_backtest(connection: duckdb.DuckDBPyConnection, landing: Path, known_at: datetime | None = None) -> None:
    """Load the newest backtest that was landed up to `known_at`; empties the tables if there is none.

    Run inside a transaction. Raises OSError or ValueError for a damaged landing file.
    """
    row, body = _newest(landing, known_at)
    loaded = connection.execute("SELECT DISTINCT fetch_id FROM forecasts.backtest_scores").fetchall()
    if loaded == ([(row["fetch_id"],)] if row else []):
        return
    rows = None if body is None else read_aliases(connection).renamed_rows(body, [])
    for name, schema in _TABLES.items():
        connection.execute(f"DELETE FROM forecasts.{name}")
        if row is not None and rows is not None:
            own = rows.filter(pl.col("table_name") == name)
            # A backtest of an earlier version has fewer tables.
            own = own.select(*schema) if set(schema) <= set(own.columns) else pl.DataFrame(schema=schema)
            connection.register("incoming", own)
            connection.execute(
                f"INSERT INTO forecasts.{name} BY NAME SELECT *, CAST(? AS TIMESTAMPTZ) AS backtested_at_utc, "
                "? AS fetch_id FROM incoming",
                [row["fetched_at_utc"], row["fetch_id"]],
            )
            connection.unregister("incoming")


def has_newer_backtest(connection: duckdb.DuckDBPyConnection, landing: Path, known_at: datetime | None) -> bool:
    """Whether a landing folder has a backtest that is newer than the loaded one."""
    row, _ = _newest(landing, known_at)
    if row is None:
        return False
    loaded = connection.execute("SELECT max((backtested_at_utc, fetch_id)) FROM forecasts.backtest_scores").fetchall()
    newest = loaded[0][0]
    return newest is None or (row["fetched_at_utc"], row["fetch_id"]) > tuple(newest)


def _newest(landing: Path, known_at: datetime | None) -> tuple[Mapping[str, Any] | None, pl.DataFrame | None]:
    """Newest backtest that this version can read: its row in landing, and its body."""
    # A folder is named after the day of its contents, so the newest folder with a known backtest has the newest one.
    for folder in reversed(day_folders(landing, OWN, BACKTESTS)):
        rows: list[Mapping[str, Any]] = [
            row
            for _, table in each(folder, ["fetch_id", "fetched_at_utc", "body", *ENVELOPE])
            for row in table.to_pylist()
        ]
        known = [row for row in rows if known_at is None or row["fetched_at_utc"] <= known_at]
        for row in sorted(known, key=lambda row: (row["fetched_at_utc"], row["fetch_id"]), reverse=True):
            body = read_own(row, read_parquet)
            if body is not None:
                return row, body
    return None, None
