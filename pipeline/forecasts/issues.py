"""Forecasts as issued: landed when they are made, and read back only from landing.

An account has one issue a UTC day, from the first run that reads its balance on that day. Issues are kept unchanged, so
that they can be scored once their days have passed. A rebuild replays them and issues none.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from pipeline.forecasts.account_forecasts import LEVELS, PLAN_COLUMNS, QUOTA_COLUMNS
from pipeline.forecasts.landed_issues import unread_issues
from pipeline.landing.parquet_bodies import land_parquet
from pipeline.landing.store import FORECASTS
from pipeline.models.unpublished import note_months_of_rows
from pipeline.schema.tables import ALL
from pipeline.staging.aliases import read_aliases
from pipeline.support.clock import Clock
from pipeline.support.home import Home

_ISSUED: Final = tuple(
    f"forecasts.{name}" for name in ("cost_daily", "cost_total", "runway", "runway_curve", "topup_plan")
)
"""Tables of issues."""


def issue(connection: duckdb.DuckDBPyConnection, home: Home, clock: Clock, run_id: str, forecasts: pl.DataFrame) -> int:
    """Land the forecast of each account that has no issue of today yet; return the number of these accounts.

    `forecasts` is what `forecast_accounts` returns.
    """
    issued = connection.sql("SELECT account_id, issue_date FROM forecasts.runway").pl()
    fresh = forecasts.join(issued, on=["account_id", "issue_date"], how="anti").filter(
        pl.col("issue_date") == clock.now().date()
    )
    if fresh.is_empty():
        return 0
    land_parquet(home, clock, run_id, FORECASTS, fresh)
    return fresh["account_id"].n_unique()


def replay(connection: duckdb.DuckDBPyConnection, landing: Path, known_at: datetime | None = None) -> int:
    """Load every landed issue up to `known_at` that is not in `forecasts` yet; return the number of bodies.

    Two concurrent runs can land two issues of one account and day: the first counts. Issues from the future
    (`pipeline.staging.present`) do not count. Run inside a transaction. Raises OSError or ValueError for a damaged
    landing file.
    """
    aliases = read_aliases(connection)
    count = 0
    for body, fetch_id, fetched_at in unread_issues(connection, landing, FORECASTS, "forecasts.runway", known_at):
        frame = aliases.renamed_rows(body, ["account_id", "issue_date", "horizon_days"])
        _store(connection, frame, fetch_id, fetched_at)
        count += 1
    return count


def _store(connection: duckdb.DuckDBPyConnection, frame: pl.DataFrame, fetch_id: str, issued_at: datetime) -> None:
    # Issues of earlier versions know no quotas.
    missing = [pl.lit(None, kind).alias(name) for name, kind in QUOTA_COLUMNS.items() if name not in frame.columns]
    connection.register("incoming", frame.with_columns(missing))
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE arrived AS
        SELECT incoming.*, CAST(? AS TIMESTAMPTZ) AS issued_at_utc, ? AS fetch_id FROM incoming
        WHERE (account_id, issue_date) NOT IN (SELECT account_id, issue_date FROM forecasts.runway)
        """,
        [issued_at, fetch_id],
    )
    connection.unregister("incoming")
    keys = "account_id, issue_date, horizon_days, forecast_date"
    for what in ("daily", "total"):
        levels = ", ".join(f"{what}_p{level} AS p{level}_amount" for level in LEVELS)
        connection.execute(
            f"INSERT INTO forecasts.cost_{what} BY NAME SELECT {keys}, {levels}, unit_code, method, history_days, "
            "issued_at_utc, fetch_id FROM arrived ORDER BY account_id, horizon_days"
        )
    connection.execute(
        f"INSERT INTO forecasts.runway_curve BY NAME SELECT {keys}, depleted_probability, "
        "below_threshold_probability, method, history_days, issued_at_utc, fetch_id "
        "FROM arrived ORDER BY account_id, horizon_days"
    )
    connection.execute(
        f"INSERT INTO forecasts.runway BY NAME {runway('arrived', 'issue_date, issued_at_utc, fetch_id')}"
    )
    connection.execute(
        f"INSERT INTO forecasts.topup_plan BY NAME {topup_plan('arrived', 'issue_date, issued_at_utc, fetch_id')}"
    )
    for name in _ISSUED:
        note_months_of_rows(connection, ALL[name], "arrived")
    connection.execute("DROP TABLE arrived")


def runway(rows: str, more: str = "") -> str:
    """Return the SELECT that reduces `rows`, one an account and day ahead, to one an account.

    `more` names further columns that have one value an account.
    """
    also = f"{more}, " if more else ""
    facts = (
        "balance_amount, day_start_amount, unit_code, threshold_amount, unconfirmed_amount, resets_at_utc, "
        "quota_amount, observed_at_utc, auto_topup_model, method, history_days"
    )
    # A quota has run dry only if it has before its next reset.
    dates = ", ".join(
        "min(forecast_date) FILTER (WHERE coalesce(depleted_before_reset_probability, depleted_probability) "
        f">= 0.{level}) AS runway_p{level}_date"
        for level in ("10", "50", "90")
    )
    return f"""
        SELECT account_id, {also}{facts}, {dates},
            max(depleted_probability) FILTER (WHERE horizon_days <= 7) AS depleted_7d_probability,
            max(depleted_probability) FILTER (WHERE horizon_days <= 30) AS depleted_30d_probability,
            1 - max(depleted_probability) AS beyond_horizon_probability,
            max(depleted_before_reset_probability) AS depleted_before_reset_probability,
            max(below_threshold_probability) FILTER (WHERE horizon_days <= 30) AS below_threshold_30d_probability
        FROM {rows}
        GROUP BY account_id, {also}{facts}
        ORDER BY account_id
    """


def current_runway(rows: str) -> str:
    """Return `runway` with the date on which an account would run dry if its vendor's automatic top-ups failed."""
    return f"""
        SELECT own.*, without.runway_p50_without_topups_date
        FROM ({runway(rows)}) AS own
        LEFT JOIN (
            SELECT account_id, min(forecast_date) AS runway_p50_without_topups_date FROM {rows}
            WHERE auto_topup_model = 'modelled' AND depleted_without_topups_probability >= 0.5 GROUP BY account_id
        ) AS without ON own.account_id = without.account_id
        ORDER BY own.account_id
    """


def topup_plan(rows: str, more: str = "") -> str:
    """Return the SELECT of each account's top-up plan from `rows`, one an account and day ahead.

    Accounts without a plan have no row. `more` is as in `runway`.
    """
    also = f"{more}, " if more else ""
    return f"""
        SELECT account_id, {also}unit_code, day_start_amount, unconfirmed_amount, {", ".join(PLAN_COLUMNS)},
            method, history_days
        FROM {rows}
        WHERE horizon_days = 1 AND topup_advice IS NOT NULL
        ORDER BY account_id
    """
