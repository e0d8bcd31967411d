"""`drawdown backtest`: forecast the warehouse's accounts from past days, land and print the scores."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import polars as pl

from pipeline.cli.backtest_text import backtest_words, print_backtest, text_width
from pipeline.cli.terminal import console, paragraph, write_json_object
from pipeline.forecasts.backtest import Backtest, backtest
from pipeline.forecasts.backtest_origins import HORIZONS, STEP_DAYS, find_origins
from pipeline.forecasts.backtest_scores import ALL
from pipeline.forecasts.backtest_tables import land_backtest, replay_backtest
from pipeline.forecasts.competitor_loading import last_day_of, read_entrants
from pipeline.forecasts.competitor_questions import write_questions
from pipeline.forecasts.forecast_inputs import build_date, read_spend
from pipeline.orchestration.upgrade import rebuild_outdated
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import Home
from pipeline.support.wording import count
from pipeline.warehouse.writer import Warehouse

_LOADED: Final = (
    "It is landed, and in forecasts.calibration and the tables forecasts.backtest_*. Readers get these tables with the "
    "next publish: `drawdown run`."
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


def compare(history: History, entered: Sequence[str] = ()) -> Backtest:
    """Backtest the accounts, with a progress bar on a terminal; accounts without any spend are listed as skipped.

    `entered` are competitors as the command line names them. Raises DrawdownError if no account has enough history,
    UsageError for a competitor that cannot be read or breaks the contract.
    """
    from rich.progress import Progress

    entrants = read_entrants(entered)
    last = history.spend["date"].max()
    until = last_day_of(entrants, last, STEP_DAYS) if isinstance(last, date) else None
    known = history.spend["account_id"].unique().to_list()
    competitors = [entrant.competitor(known) for entrant in entrants]
    screen = console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        bar = progress.add_task("Forecasting from past weeks", total=None)
        found = backtest(
            history.spend,
            until=until,
            competitors=competitors,
            on_progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    if found.scores.filter(pl.col("account_id") == ALL).is_empty():
        [reason, *_] = found.skipped.filter(pl.col("account_id") == ALL)["reason"]
        raise DrawdownError(_too_little(reason))
    seen = set(history.spend["account_id"])
    unseen = [
        (name, horizon, "no whole day of its spend was observed")
        for name in history.account_ids
        if name not in seen
        for horizon in HORIZONS
    ]
    skipped = pl.concat([found.skipped, pl.DataFrame(unseen, schema=found.skipped.schema, orient="row")])
    return replace(found, skipped=skipped)


def _too_little(reason: str) -> str:
    return f"there is too little history for a backtest: {reason}. Try again when more days have been seen"


def ask_questions(home: Home, target: Path) -> None:
    """Write what a backtest would ask a competitor, and print what was written; nothing is forecast or landed.

    Raises DrawdownError without enough history, UsageError for a file name of another kind.
    """
    origins = find_origins(read_history(home, []).spend)
    if not origins.asked:
        raise DrawdownError(_too_little("no account has 28 observed days and 7 more"))
    rows = write_questions(origins, target)
    first, last = (origins.as_of(origins.asked[place]) for place in (0, -1))
    print(
        paragraph(
            f"{target}: {count(rows, 'row')}, what was known on {count(len(origins.asked), 'day')} from {first} to "
            f"{last}. Answer each of them, and enter the answers: `drawdown backtest --competitor FILE`",
            text_width(),
        )
    )


def run_backtest(home: Home, asked: list[str], entered: Sequence[str] = (), *, as_json: bool) -> None:
    """Run a backtest: compute, land, print and load it; `entered` are competitors, as the command line names them.

    Raises DrawdownError if there is no warehouse or too little history, or if another process holds the warehouse for
    too long: the result is then landed and printed, and the next run loads it.
    """
    found = compare(read_history(home, asked), entered)
    land_backtest(home, Clock(), str(uuid4()), found)
    if as_json:
        write_json_object(_as_json(found, asked))
    else:
        print_backtest(found, asked)
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
        print(f"\n{paragraph(_LOADED, text_width())}")


def _as_json(found: Backtest, asked: list[str]) -> dict[str, Any]:
    """Every table as rows, of all accounts or `*` and those asked for, and the verdict on each of the latter."""
    wanted = [ALL, *dict.fromkeys(asked)]
    frames = {
        "scores": found.scores,
        "calibration": found.calibration,
        "month_ends": found.month_ends,
        "comparisons": found.comparisons,
        "skipped": found.skipped,
    }
    if asked:
        frames = {name: frame.filter(pl.col("account_id").is_in(wanted)) for name, frame in frames.items()}
    frames |= {"months": found.months, "shared_misses": found.shared_misses}
    return {
        "verdict": {name: backtest_words(found, name) for name in wanted},
        **{name: frame.to_dicts() for name, frame in frames.items()},
    }
