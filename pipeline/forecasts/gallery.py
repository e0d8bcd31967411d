"""Plots of the accounts that run dry first, as Markdown that Dagster shows with the asset."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import duckdb
import polars as pl

from pipeline.forecasts.account_forecasts import LEVELS
from pipeline.forecasts.plots import HISTORY_DAYS, Row, calibration, curve, fan
from pipeline.support.svg import data_uri

MOST_BYTES: Final = 96_000
"""Most that one run's plots may add to Dagster's event log, which keeps them forever."""

MOST_ACCOUNTS: Final = 6
"""How many accounts a run shows."""

_URGENT: Final = 0.01
"""Probability of running dry within 30 days from which an account's plots are worth keeping each hour."""

_MARKDOWN: Final = re.compile(r"([^\w\s])")


def current_plots(connection: duckdb.DuckDBPyConnection, forecasts: pl.DataFrame, most_bytes: int = MOST_BYTES) -> str:
    """Return the fan and the runway curve of the most urgent accounts of forecasts.current_runway, as Markdown.

    `forecasts` is what `forecast_accounts` returned. Accounts are sorted by their probability of running dry within 7
    days, 30 days and the horizon: the first is always shown, the next up to MOST_ACCOUNTS if they run dry in 30 days
    with a probability of 1 % or more. The text is at most `most_bytes` of UTF-8 and gives the number of accounts left
    out. A plot that cannot be drawn becomes a sentence: it must not fail the run.
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
        own = forecasts.filter(pl.col("account_id") == account["account_id"])
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
    """Return the newest backtest's calibration over all accounts, as Markdown; empty unless it is of the last day.

    Dagster keeps what each run shows, and an older backtest has been shown already.
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
    """Escape text so that Markdown shows it as it is, in one line."""
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
