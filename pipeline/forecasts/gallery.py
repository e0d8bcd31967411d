"""Plots of the accounts that run dry first, as Markdown that Dagster shows beside the asset."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import duckdb
import polars as pl

from pipeline.forecasts.outlook import LEVELS
from pipeline.forecasts.plots import HISTORY_DAYS, Row, calibration, curve, fan
from pipeline.support.svg import data_uri

MOST_BYTES: Final = 96_000
"""What one run's plots may take of Dagster's event log, which keeps them for ever."""

MOST_ACCOUNTS: Final = 6
"""How many accounts a run shows."""

_URGENT: Final = 0.01
"""The chance to be dry within 30 days from which an account's plots are worth keeping each hour."""

_MARKDOWN: Final = re.compile(r"([^\w\s])")


def current_plots(connection: duckdb.DuckDBPyConnection, outlook: pl.DataFrame, most_bytes: int = MOST_BYTES) -> str:
    """The fan and the runway curve of the most urgent accounts of forecasts.current_runway, as Markdown.

    `outlook` is what `look_ahead` returned. Accounts come by their chance to be dry within 7 days, 30 days and the
    horizon: the first always, the next up to MOST_ACCOUNTS while they stand 1 chance in 100 to be dry within 30 days.
    The whole is at most `most_bytes` of UTF-8; it is said how many accounts are left out. What cannot be drawn is said
    in words: a plot fails no run.
    """
    accounts = connection.sql(
        "SELECT * FROM forecasts.current_runway ORDER BY depleted_7d_probability DESC, depleted_30d_probability DESC, "
        "beyond_horizon_probability, runway_p50_date, account_id"
    ).pl()
    parts: list[str] = []
    room = most_bytes - 100
    for account in accounts.head(MOST_ACCOUNTS).iter_rows(named=True):
        if parts and account["depleted_30d_probability"] < _URGENT:
            break
        own = outlook.filter(pl.col("account_id") == account["account_id"])
        history = connection.sql(
            "SELECT observed_at_utc, balance_amount FROM core.balance_snapshots WHERE account_id = $id "
            f"AND observed_at_utc >= $read - INTERVAL {HISTORY_DAYS + 1} DAY AND observed_at_utc <= $read",
            params={"id": account["account_id"], "read": account["observed_at_utc"]},
        ).pl()
        part = f"### {in_markdown(account['account_id'])}\n\n" + _images(account, own, history.to_dicts())
        room -= len(part.encode()) + 2
        if room < 0:
            break
        parts.append(part)
    if left := len(accounts) - len(parts):
        parts.append(f"{left} less urgent account{'s are' if left > 1 else ' is'} not shown.")
    return "\n\n".join(parts)


def calibration_plot(connection: duckdb.DuckDBPyConnection) -> str:
    """The newest backtest's calibration over all accounts, as Markdown; empty unless it is of the last day.

    Dagster keeps what each run shows, and a backtest stays as it is.
    """
    rows = connection.sql(
        "SELECT horizon_days, nominal_ratio, observed_ratio FROM forecasts.calibration "
        "WHERE account_id = '*' AND observed_ratio IS NOT NULL "
        "AND backtested_at_utc >= (SELECT max(as_of_utc) FROM staging.build) - INTERVAL 1 DAY "
        "ORDER BY horizon_days, nominal_ratio"
    )
    found = [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]
    if not found:
        return ""
    return f"![How often forecasts held]({data_uri(calibration(found, of='all accounts'))})"


def in_markdown(words: str) -> str:
    """Words that Markdown shows as they are, in one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(words.split()))


def _images(account: Row, own: pl.DataFrame, history: Iterable[Row]) -> str:
    account_id, issue_date = account["account_id"], own["issue_date"][0]
    totals = own.select("horizon_days", *(pl.col(f"total_p{level}").alias(f"p{level}_amount") for level in LEVELS))
    try:
        balance = fan(
            account_id,
            account["unit_code"],
            history,
            totals.to_dicts(),
            issue_date=issue_date,
            day_start_amount=account["day_start_amount"],
            threshold_amount=account["threshold_amount"],
            note="" if account["auto_topup_model"] == "off" else "without the vendor's automatic top-ups",
        )
        runway = curve(account_id, own.to_dicts(), issue_date=issue_date)
    except ValueError as problem:
        return f"Cannot be drawn: {in_markdown(str(problem))}."
    name = in_markdown(account_id)
    return (
        f"![{name}: balance and what is expected of it]({data_uri(balance)})\n\n"
        f"![{name}: chance of having run dry, by day]({data_uri(runway)})"
    )
