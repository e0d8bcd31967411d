"""`drawdown backtest`: forecast the warehouse's accounts from past days, land and print the scores."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import polars as pl

from pipeline.cli.terminal import console, paragraph, print_table, sentence, write_json
from pipeline.forecasts.backtest import HORIZONS, Backtest, backtest
from pipeline.forecasts.backtest_scores import ALL
from pipeline.forecasts.backtest_tables import land_backtest, replay_backtest
from pipeline.forecasts.backtest_verdict import month_end_verdict, verdict
from pipeline.forecasts.forecast_inputs import build_date, read_spend
from pipeline.orchestration.upgrade import rebuild_outdated
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse

_WIDEST: Final = 100
"""Wider rows are hard to follow."""
_TITLES: Final = {
    "horizon_days": "days",
    "forecaster": "forecaster",
    "forecast_count": "count",
    "pinball_ratio": "loss",
    "median_error_ratio": "error",
    "coverage_80_ratio": "80 %",
    "coverage_90_ratio": "90 %",
    "below_80_ratio": "below",
    "above_80_ratio": "above",
    "brier_score": "Brier",
}
"""Printed columns, by the table's column."""
_LEGEND: Final = (
    "Loss and error: over those of mean_28d, less is better. 80 %, 90 %: the share of totals within the band; below, "
    "above: outside the 80 % band. Brier: of running dry, 0 is best. Shares are of 1."
)

_LOADED: Final = (
    "It is landed, and in forecasts.backtest_scores, forecasts.backtest_month_ends and forecasts.calibration. Readers "
    "get these tables with the next publish: `drawdown run`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Observed history of the accounts."""

    spend: pl.DataFrame
    """account_id, date, spend_amount, vendor: the forecaster's input."""
    account_ids: list[str]
    """The configured accounts, in alphabetical order."""


def read_history(home: Home, asked: list[str]) -> History:
    """Read the accounts' complete days up to the newest run, and release the warehouse.

    Raises DrawdownError if there is no warehouse or it is empty; UsageError for an account that the newest run did not
    have.
    """
    if not home.warehouse.exists():
        raise DrawdownError(f"{home.warehouse} does not exist: there is no history yet. `drawdown run` begins one")
    warehouse = Warehouse(home, rebuild=rebuild_outdated)
    try:
        connection = warehouse.connection
        as_of = build_date(connection)
        if as_of is None:
            raise DrawdownError(f"{home.warehouse} is empty: there is no history yet. `drawdown run` begins one")
        accounts = connection.sql("SELECT account_id FROM core.accounts WHERE is_configured ORDER BY 1").fetchall()
        history = History(
            spend=read_spend(connection, as_of - timedelta(days=1)), account_ids=[name for (name,) in accounts]
        )
    finally:
        warehouse.close()
    for name in asked:
        if name not in history.account_ids:
            known = ", ".join(history.account_ids) or "none"
            raise UsageError(f"--account {name}: the newest run had no such account; known accounts: {known}")
    return history


def compare(history: History) -> Backtest:
    """Backtest the accounts, with a progress bar on a terminal; accounts without any spend are listed as skipped.

    Raises DrawdownError if no account has enough history.
    """
    from rich.progress import Progress

    screen = console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        bar = progress.add_task("Forecasting from past weeks", total=None)
        found = backtest(
            history.spend, on_progress=lambda done, total: progress.update(bar, completed=done, total=total)
        )
    if found.scores.filter(pl.col("account_id") == ALL).is_empty():
        [reason, *_] = found.skipped.filter(pl.col("account_id") == ALL)["reason"]
        raise DrawdownError(
            f"there is too little history for a backtest: {reason}. Try again when more days have been seen"
        )
    seen = set(history.spend["account_id"])
    unseen = [
        (name, horizon, "no whole day of its spend was observed")
        for name in history.account_ids
        if name not in seen
        for horizon in HORIZONS
    ]
    skipped = pl.concat([found.skipped, pl.DataFrame(unseen, schema=found.skipped.schema, orient="row")])
    return replace(found, skipped=skipped)


def run_backtest(home: Home, asked: list[str], *, as_json: bool) -> None:
    """Run a backtest: compute, land, print and load it.

    Raises DrawdownError if there is no warehouse or too little history, or if another process holds the warehouse for
    too long: the result is then landed and printed, and the next run loads it.
    """
    found = compare(read_history(home, asked))
    land_backtest(home, Clock(), str(uuid4()), found)
    if as_json:
        shown = found.scores
        if asked:
            shown = shown.filter(pl.col("account_id").is_in([ALL, *asked]))
        write_json(shown.columns, shown.rows())
    else:
        _print(found, asked)
    # Printed before waiting for a run that may hold the warehouse.
    warehouse = Warehouse(home, rebuild=rebuild_outdated)
    try:
        with warehouse.transaction() as connection:
            replay_backtest(connection, home.landing)
    except (OSError, ValueError) as problem:
        raise DrawdownError(f"landing cannot be read: {problem}. Restore it from a backup") from None
    finally:
        warehouse.close()
    if as_json:
        print(_LOADED, file=sys.stderr)
    else:
        print(f"\n{paragraph(_LOADED, _width())}")


def _width() -> int:
    return min(console().width, _WIDEST)


def _print(found: Backtest, asked: list[str]) -> None:
    width = _width()
    for name in [ALL, *dict.fromkeys(asked)]:
        scores = found.scores.filter(pl.col("account_id") == name)
        print("All accounts" if name == ALL else name)
        if not scores.is_empty():
            print()
            _print_table(scores)
        print()
        for line in [*verdict(found.scores, name), *month_end_verdict(found.month_ends, name)]:
            print(paragraph(line, width))
        print()
    print(sentence("Columns", _LEGEND, width))
    lines = _skipped(found.skipped, asked)
    if lines:
        print("\nWithout a forecast:")
    for about, reason in lines:
        print(sentence(about, reason, width))


def _print_table(scores: pl.DataFrame) -> None:
    rows = [
        [_cell(name, row[name]) for name in _TITLES]
        for row in scores.sort("horizon_days", maintain_order=True).to_dicts()
    ]
    titles = list(_TITLES.values())
    print_table(titles, rows, right=[title for title in titles if title != "forecaster"])


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if name.endswith(("_ratio", "_score")) else str(value)


def _skipped(skipped: pl.DataFrame, asked: list[str]) -> list[tuple[str, str]]:
    """One line for each account with the horizons that have no forecast, and the reason for the shortest."""
    if asked:
        skipped = skipped.filter(pl.col("account_id").is_in([ALL, *asked]))
    lines = []
    for (name,), rows in skipped.group_by(["account_id"], maintain_order=True):
        ordered = rows.sort("horizon_days")
        *others, last = map(str, ordered["horizon_days"])
        horizons = f"{', '.join(others)} and {last}" if others else last
        about = "All accounts" if name == ALL else str(name)
        lines.append((about, f"not for the next {horizons} days: {ordered['reason'][0]}"))
    return lines
