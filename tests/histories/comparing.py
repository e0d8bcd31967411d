"""A history refreshed step by step, and the rebuild that it must equal."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb

from pipeline.landing.store import Fetch, LandingWriter
from pipeline.models.discovery import discover
from pipeline.schema.checksums import PER_BUILD_COLUMNS, PER_BUILD_TABLES, checksum_query
from pipeline.schema.tables import published
from pipeline.staging.load import load
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse
from tests.changed_select import changed_select
from tests.computing import TABLES, refresh
from tests.histories.generator import History

CHANGES = {
    "core.spend_daily": ("spend_amount", "cast(spend_amount + 1 as decimal(38, 9))"),
    "core.balance_residuals": ("residual_class", "case residual_class when 'missing_entry' then 'unknown' else residual_class end"),
    "core.ledger_entries": ("description", "coalesce(description, 'nothing is said')"),
    "core.balance_snapshots": ("unconfirmed_amount", "cast(coalesce(unconfirmed_amount, 0) + 1 as decimal(38, 9))"),
    "core.vendor_claims": ("claim_amount", "cast(2 * claim_amount as decimal(38, 9))"),
    "core.balance_intervals": ("has_late", "not has_late"),
    "core.fx_rates": ("eur_rate", "cast(eur_rate + 1 as decimal(18, 9))"),
    "marts.balance_bridge_monthly": ("interval_count", "interval_count + 1"),
}  # fmt: skip
"""By model, a column and its new expression: meaningful changes of a SELECT, for tables recomputed by month."""
LAST = tuple(
    name
    for name, model in discover().items()
    if name.startswith("marts.") and not model.table.month_column and name != "marts.account_status"
)
"""Completely rebuilt tables whose rows no later refresh depends on; alerts depend on the status."""


def with_another_meaning(name: str) -> str:
    """The model's SELECT with the column of CHANGES computed differently."""
    column, expression = CHANGES[name]
    model = discover()[name]
    columns = ",\n    ".join(f"{expression} as {each}" if each == column else each for each in model.table.column_names)
    return f"with changed as (\n{model.select}\n)\n\nselect\n    {columns}\nfrom changed\n"


@dataclass(frozen=True)
class Difference:
    """A table in which the two warehouses differ."""

    step: int
    """The refresh after which they differed."""
    table: str
    rows: tuple[str, ...]
    """The first rows that only one of them has: `-` of the steps, `+` of the rebuild."""

    def __str__(self) -> str:
        return "\n".join([f"after refresh {self.step + 1}: {self.table}", *(f"    {row}" for row in self.rows)])


class State:
    """A state folder whose warehouse is refreshed from its own landing, or from another's."""

    def __init__(self, folder: Path, template: Path, landing: Path | None = None) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.home = Home(folder / "data")
        self.home.path.mkdir(mode=0o700)
        if landing is not None:
            self.home.landing.symlink_to(landing)
        shutil.copy(template, self.home.warehouse)
        accounts = folder / "accounts.toml"
        accounts.write_text('[accounts.wallet]\nvendor = "deepvue"\napi_key_env = "K"\nclient_id_env = "K"\n')
        self._environment = {"DRAWDOWN_ACCOUNTS": str(accounts), "DRAWDOWN_HOME": str(self.home.path)}
        self._is_replay = landing is not None
        self._refreshes = 0
        self.open()

    def open(self) -> None:
        """Open it, as a process does."""
        self.warehouse = Warehouse(self.home, is_replay=self._is_replay)
        # Small tables are computed as fast by one thread, at a fraction of the cost.
        self.warehouse.connection.execute("SET threads = 1")

    def refresh(self, clock: Clock, *, is_looked_at: bool = True) -> None:
        """Load what is landed and compute everything that follows; a replay issues nothing.

        Without a comparison, completely rebuilt tables without dependents are skipped.
        """
        self._refreshes += 1
        with self.warehouse.transaction() as connection:
            load(connection, self.home.landing)
        with patch.dict("os.environ", self._environment):
            done = refresh(
                self.home, clock, f"refresh-{self._refreshes}", layers=TABLES[1:], warehouse=self.warehouse, only=(),
                without=("marts.data_dictionary",) if is_looked_at else LAST,
            )  # fmt: skip
        assert done.failure is None, done.failure

    def close(self) -> None:
        """Close it, as at the end of a process."""
        self.warehouse.close()


def land(fetches: Sequence[Fetch], landing: Path) -> None:
    """Land fetches as after a compaction: one file for each endpoint and day."""
    writers: dict[tuple[str, str, date], LandingWriter] = {}
    for fetch in fetches:
        key = (fetch.vendor, fetch.endpoint, fetch.fetched_at_utc.date())
        writers.setdefault(key, LandingWriter(landing, *key)).add(fetch)
    for writer in writers.values():
        writer.close()


def differences(connection: duckdb.DuckDBPyConnection, other: Path, step: int, most: int = 2) -> list[Difference]:
    """Published tables whose checksums differ from another warehouse's, with the first differing rows."""
    [(own,)] = connection.execute("SELECT current_database()").fetchall()
    connection.execute(f"ATTACH '{other}' AS other (READ_ONLY)")
    found = []
    try:
        for table in published():
            if table.full_name in (*PER_BUILD_TABLES, "marts.data_dictionary"):
                continue
            columns = {each.name: str(each.column.type) for each in table.columns if each.name not in PER_BUILD_COLUMNS}
            query = checksum_query(table.full_name, columns)
            steps, rebuilt = _in_both(connection, own, query)
            if steps != rebuilt:
                found.append(
                    Difference(step, table.full_name, _rows(connection, own, table.full_name, list(columns), most))
                )
    finally:
        connection.execute(f"USE {own}")
        connection.execute("DETACH other")
    return found


def _in_both(connection: duckdb.DuckDBPyConnection, own: str, query: str) -> list[list[tuple[Any, ...]]]:
    # A view names its tables without their database.
    found = []
    for file in (own, "other"):
        connection.execute(f"USE {file}")
        found.append(connection.execute(query).fetchall())
    return found


def _rows(
    connection: duckdb.DuckDBPyConnection, own: str, table: str, columns: Sequence[str], most: int
) -> tuple[str, ...]:
    steps, rebuilt = _in_both(connection, own, f"SELECT {', '.join(columns)} FROM {table} ORDER BY ALL")
    words = []
    for sign, rows, rest in (("-", steps, rebuilt), ("+", rebuilt, steps)):
        only = [row for row in rows if row not in rest]
        words += [f"{sign} {dict(zip(columns, map(str, row), strict=True))}" for row in only[:most]]
        words += [f"{sign} and {len(only) - most} more"] if len(only) > most else []
    return tuple(words)


def compare(
    history: History, folder: Path, template: Path, *, change: str | None = None, is_middle_compared: bool = True
) -> list[Difference]:
    """Refresh a history step by step and compare a middle step and the last with a rebuild.

    With `change`, the SELECT of that model changes in the middle.
    """
    steps = State(folder / "steps", template)
    middle, last = len(history.steps) // 2, len(history.steps) - 1
    compared = {middle, last} if is_middle_compared else {last}
    found: list[Difference] = []
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(steps.close)
        for number, (fetches, at) in enumerate(zip(history.steps, history.clocks, strict=True)):
            land(fetches, steps.home.landing)
            steps.refresh(Clock(at), is_looked_at=number in compared)
            if change and number == middle:
                # Nothing new is landed: the only difference from now on is the SELECT.
                steps.close()
                stack.enter_context(changed_select(change, with_another_meaning(change)))
                steps.open()
                steps.refresh(Clock(at))
            if number in compared and not found:
                rebuilt = State(folder / "rebuilt", template, steps.home.landing)
                rebuilt.refresh(Clock(at))
                rebuilt.close()
                found = differences(steps.warehouse.connection, rebuilt.home.warehouse, number)
    return found
