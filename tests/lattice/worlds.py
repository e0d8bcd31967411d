"""Worlds of many accounts in unusual states and a few ordinary ones: landed, loaded, computed and published for real."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import polars as pl

from pipeline.forecasts import account_forecasts
from pipeline.landing.store import FX_RATES, OWN, RUNS, Fetch
from pipeline.schema.tables import published
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from tests.computing import refresh
from tests.lattice.combinations import Combination, plain
from tests.lattice.simulation import simulate
from tests.lattice.truth import NOW, POLLS, RECORDS, SimulatedAccount
from tests.staging.landed import Landing, run_record, write

ORDINARY = {
    "control-ledger": plain("vpsbg", claims="some", entry_unit="stated"),
    "control-usage": plain("voxpria", price="one"),
    "control-gpu": plain("hyperstack", payments="one", auto="on", claims="some"),
    "control-wallet": plain("deepvue", limits="alerts", csv="before"),
    "control-hand": plain("manual"),
}
"""The ordinary accounts: one of each vendor, in plain states."""

SNAPSHOT = "published/snapshot"
ALL_THAT_IS_PUBLISHED = (SNAPSHOT, *(f"published/{name}" for name in ("parquet", "focus", "report", "metrics")))


@dataclass
class Built:
    """Result of a build."""

    path: Path
    simulated: list[SimulatedAccount]
    """The unusual accounts."""
    problems: list[str] = field(default_factory=list)
    """One line for each failed check."""
    failure: str | None = None
    """Why nothing was published; None if it was."""
    tables: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]] = field(default_factory=dict)
    """By name, each published table's columns and rows."""

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """A published table's rows by column."""
        columns, rows = self.tables[table]
        for row in rows:
            yield dict(zip(columns, row, strict=True))


def ordinary() -> list[SimulatedAccount]:
    """The ordinary accounts, and the truth about them."""
    made = [simulate(name, number, combination) for number, (name, combination) in enumerate(ORDINARY.items())]
    for each in made:
        each.former_id = None
    return made


def unusual(combinations: Sequence[Combination]) -> list[SimulatedAccount]:
    """An account for each combination; its name and number are its position, which a narrowed world keeps."""
    return [simulate(f"unusual-{place:05d}", len(ORDINARY) + place, each) for place, each in enumerate(combinations)]


def _runs(simulated: Sequence[SimulatedAccount]) -> Iterator[Fetch]:
    landing = Landing(folder=Path("nowhere"), ids=())
    for record in RECORDS:
        at = NOW - timedelta(days=3 * (POLLS - 1 - record))
        accounts: dict[str, dict[str, Any]] = {}
        for each in simulated:
            accounts |= each.settings(record)
        for name in accounts:
            if name in ORDINARY:
                accounts[name]["team"] = "ordinary"
        place = int(at.timestamp()) * 10**9
        yield landing.fetch(
            OWN, RUNS, run_record(accounts), account_id="*", at=at, run_id=f"run-{record:02d}", fetch_id=f"{place:016x}"
        )


def _rates() -> Fetch:
    days = [(NOW - timedelta(days=day)).date() for day in range(1, 100)]
    lines = [f"{day},1.1,1.95583,95.5,11.2," for day in days if day.weekday() < 5]
    body = "\n".join(["Date,USD,BGN,INR,SEK,", *lines, ""])
    at = NOW - timedelta(hours=1)
    place = int(at.timestamp()) * 10**9
    landing = Landing(folder=Path("nowhere"), ids=())
    return landing.fetch(OWN, FX_RATES, body, account_id="*", at=at, run_id="run-21", fetch_id=f"{place:016x}")


@contextmanager
def _taught_by_the_ordinary() -> Iterator[None]:
    """Let forecasts learn from the ordinary accounts alone.

    What accounts learn from each other is the only part of a forecast that depends on the other accounts.
    """
    learn = account_forecasts.learn_pool

    def from_ordinary(spend: pl.DataFrame, *more: Any, **named: Any) -> pl.DataFrame:
        return learn(spend.filter(pl.col("account_id").is_in(list(ORDINARY))), *more, **named)

    with patch.object(account_forecasts, "learn_pool", from_ordinary):
        yield


def build(
    folder: Path,
    simulated: Sequence[SimulatedAccount],
    *,
    published_as: Sequence[str] = (SNAPSHOT,),
    is_pool_shared: bool = False,
) -> Built:
    """Land the answers of unusual and ordinary accounts, and build what `drawdown run` makes of them.

    Everything is real but the vendors and the clock: landing files, the load, the models, forecasts, alerts, checks and
    publishing. With `is_pool_shared`, forecasts learn from all accounts, as in production.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    home = Home(folder / "data")
    everybody = [*ordinary(), *simulated]
    write([*_runs(everybody), _rates(), *(fetch for each in everybody for fetch in each.fetches)], home.landing)
    accounts = folder / "accounts.toml"
    lines = ['[accounts.control-wallet]\nvendor = "deepvue"\napi_key_env = "K"\nclient_id_env = "K"\n']
    accounts.write_text("".join(lines))
    built = Built(folder, list(simulated))
    with ExitStack() as stack:
        stack.enter_context(
            patch.dict("os.environ", {"DRAWDOWN_ACCOUNTS": str(accounts), "DRAWDOWN_HOME": str(home.path)})
        )
        if not is_pool_shared:
            stack.enter_context(_taught_by_the_ordinary())
        done = refresh(home, Clock(NOW), "run-21", only=published_as)
    built.problems, built.failure = done.problems, done.failure
    if built.failure is None:
        _read(built, home)
    return built


def _read(built: Built, home: Home) -> None:
    with duckdb.connect(home.current.resolve(), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in published():
            relation = connection.sql(f"SELECT * FROM {table.full_name} ORDER BY ALL")
            built.tables[table.full_name] = (tuple(relation.columns), relation.fetchall())
