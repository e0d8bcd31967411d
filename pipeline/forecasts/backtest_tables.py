"""Backtests as landed, and the tables that hold the newest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl

from pipeline.forecasts.backtest import Backtest
from pipeline.forecasts.backtest_comparison import COMPARISONS
from pipeline.forecasts.backtest_month_ends import MONTH_ENDS
from pipeline.forecasts.backtest_months import MONTHS
from pipeline.forecasts.backtest_scores import CALIBRATION, SCORES
from pipeline.forecasts.backtest_shared_misses import SHARED_MISSES
from pipeline.landing.own import ENVELOPE, read_own
from pipeline.landing.parquet_bodies import land_parquet, read_parquet
from pipeline.landing.store import BACKTESTS, OWN, day_folders, each
from pipeline.schema.tables import ALL
from pipeline.staging.aliases import read_aliases
from pipeline.support.clock import Clock
from pipeline.support.home import Home

_TABLES: Final = {
    "backtest_scores": SCORES,
    "calibration": CALIBRATION,
    "backtest_month_ends": MONTH_ENDS,
    "backtest_months": MONTHS,
    "backtest_shared_misses": SHARED_MISSES,
    "backtest_comparisons": COMPARISONS,
}
_FORMAT_ALONE: Final = 1
"""The format of a backtest without a competitor, which every version reads."""


def land_backtest(home: Home, clock: Clock, run_id: str, result: Backtest) -> str:
    """Land the result of a backtest as one body with the rows of all tables; returns its fetch id."""
    # One body, so that scores and calibration are always of the same backtest.
    frames = (
        result.scores,
        result.calibration,
        result.month_ends,
        result.months,
        result.shared_misses,
        result.comparisons,
    )
    parts = zip(_TABLES, frames, strict=True)
    rows = pl.concat([part.with_columns(pl.lit(name).alias("table_name")) for name, part in parts], how="diagonal")
    version = _FORMAT_ALONE if result.comparisons.is_empty() else None
    return land_parquet(home, clock, run_id, BACKTESTS, rows, version)


def replay_backtest(
    connection: duckdb.DuckDBPyConnection, landing: Path, known_at: datetime | None = None, *, is_part: bool = False
) -> None:
    """Load the newest backtest that was landed up to `known_at`; empties the tables if there is none.

    With `is_part`, landing may lack what is loaded already, which only a newer backtest replaces.
    Run inside a transaction. Raises OSError or ValueError for a damaged landing file.
    """
    row, body = _newest(landing, known_at)
    if is_part and not (row and _is_newer(connection, row)):
        return
    loaded = connection.execute("SELECT DISTINCT fetch_id FROM forecasts.backtest_scores").fetchall()
    if loaded != ([(row["fetch_id"],)] if row else []):
        _replace(connection, row, body, _TABLES)


def replay_backtest_of_fleet(
    connection: duckdb.DuckDBPyConnection, landing: Path, known_at: datetime | None = None
) -> None:
    """Load what the newest backtest says of all accounts together, and of none by itself.

    Run inside a transaction. Raises OSError or ValueError for a damaged landing file.
    """
    of_fleet = {name: schema for name, schema in _TABLES.items() if ALL[f"forecasts.{name}"].partition == "fleet"}
    _replace(connection, *_newest(landing, known_at), of_fleet)


def _replace(
    connection: duckdb.DuckDBPyConnection,
    row: Mapping[str, Any] | None,
    body: pl.DataFrame | None,
    tables: Mapping[str, Mapping[str, Any]],
) -> None:
    """Replace the rows of tables by those of a landed backtest."""
    rows = None if body is None else read_aliases(connection).renamed_rows(body, [])
    for name, schema in tables.items():
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


def _is_newer(connection: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> bool:
    """Whether a landed backtest is newer than the loaded one."""
    [(loaded,)] = connection.execute(
        "SELECT max((backtested_at_utc, fetch_id)) FROM forecasts.backtest_scores"
    ).fetchall()
    return loaded is None or (row["fetched_at_utc"], row["fetch_id"]) > tuple(loaded)


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
