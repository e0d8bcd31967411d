"""A history refreshed step by step, and the rebuild that it must be equal to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb

from pipeline.clock import Clock
from pipeline.home import Home
from pipeline.models import discover
from pipeline.schema.checksums import PER_BUILD_COLUMNS, PER_BUILD_TABLES, checksum_query
from pipeline.schema.tables import published
from pipeline.warehouse import Warehouse
from tests.computing import refresh
from tests.histories.generator import History
from tests.staging.landed import write

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
"""By model, a column and what is made of it: changes of a SELECT that mean something, of tables recomputed by month."""


@contextmanager
def changed_select(name: str, sql: str) -> Iterator[None]:
    """Give a model another SELECT, as another version of the file would."""
    model = discover()[name]
    before = model.sql
    object.__setattr__(model, "sql", sql)
    try:
        yield
    finally:
        object.__setattr__(model, "sql", before)


def with_another_meaning(name: str) -> str:
    """The model's SELECT with the column of CHANGES computed otherwise."""
    column, expression = CHANGES[name]
    model = discover()[name]
    columns = ",\n    ".join(f"{expression} as {each}" if each == column else each for each in model.table.column_names)
    return f"with changed as (\n{model.select}\n)\n\nselect\n    {columns}\nfrom changed\n"


@dataclass(frozen=True)
class Difference:
    """A table in which the two warehouses differ."""

    step: int
    """The refresh after which they did."""
    table: str
    rows: tuple[str, ...]
    """The first rows that only one of them has: `-` of the steps, `+` of the rebuild."""

    def __str__(self) -> str:
        return "\n".join([f"after refresh {self.step + 1}: {self.table}", *(f"    {row}" for row in self.rows)])


class Steps:
    """A state folder that is refreshed again and again."""

    def __init__(self, folder: Path, template: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.home = Home(folder / "data")
        self.home.path.mkdir(mode=0o700)
        self.template = template
        shutil.copy(template, self.home.warehouse)
        accounts = folder / "accounts.toml"
        accounts.write_text('[accounts.wallet]\nvendor = "deepvue"\napi_key_env = "K"\nclient_id_env = "K"\n')
        self.environment = {"DRAWDOWN_ACCOUNTS": str(accounts), "DRAWDOWN_HOME": str(self.home.path)}
        self.warehouse: Warehouse | None = None
        self.refreshes = 0

    def refresh(self, clock: Clock) -> None:
        self.warehouse = self.warehouse or Warehouse(self.home)
        self._compute(self.warehouse, clock)

    def reopen(self) -> None:
        """As the next process does."""
        if self.warehouse is not None:
            self.warehouse.close()
            self.warehouse = None

    def rebuilt(self, clock: Clock) -> Path:
        """Where a rebuild from landing alone stands, which is left there."""
        path = self.home.path / "rebuilt.duckdb"
        self.reopen()
        made = Warehouse(Home(self.home.path), path=path, is_replay=True)
        assert made.connection
        self._compute(made, clock)
        kept = self.home.path / "kept.duckdb"
        made.checkpoint()
        shutil.copy(path, kept)
        made.close()
        return kept

    def _compute(self, warehouse: Warehouse, clock: Clock) -> None:
        self.refreshes += 1
        # Small tables are computed as fast by one thread, at a fraction of the cost.
        warehouse.connection.execute("SET threads = 1")
        with patch.dict("os.environ", self.environment):
            done = refresh(self.home, clock, f"refresh-{self.refreshes}", warehouse=warehouse, only=())
        assert done.failure is None, done.failure


def differences(one: Path, other: Path, step: int, most: int = 2) -> list[Difference]:
    """The published tables in which two warehouses differ by their checksums, and their first rows that do."""
    found = []
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, path in (("one", one), ("other", other)):
            connection.execute(f"ATTACH '{path}' AS {name} (READ_ONLY)")
        for table in published():
            if table.full_name in PER_BUILD_TABLES:
                continue
            columns = {each.name: str(each.column.type) for each in table.columns if each.name not in PER_BUILD_COLUMNS}
            sums = [_checksum(connection, name, table.full_name, columns, table.is_view) for name in ("one", "other")]
            if sums[0] != sums[1]:
                found.append(Difference(step, table.full_name, _rows(connection, table.full_name, list(columns), most)))
    return found


def _checksum(connection: duckdb.DuckDBPyConnection, file: str, table: str, columns: dict[str, str], is_view: bool) -> Any:
    # A view names its tables without the file that they are in.
    connection.execute(f"USE {file}")
    return connection.execute(checksum_query(table, columns)).fetchall()


def _rows(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str], most: int) -> tuple[str, ...]:
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for file in ("one", "other"):
        connection.execute(f"USE {file}")
        rows[file] = connection.sql(f"SELECT {', '.join(columns)} FROM {table} ORDER BY ALL").fetchall()
    words = []
    for sign, file, rest in (("-", "one", "other"), ("+", "other", "one")):
        only = [row for row in rows[file] if row not in rows[rest]]
        words += [f"{sign} {dict(zip(columns, map(str, row), strict=True))}" for row in only[:most]]
        words += [f"{sign} and {len(only) - most} more"] if len(only) > most else []
    return tuple(words)


def compare(history: History, folder: Path, template: Path, *, change: str | None = None) -> list[Difference]:
    """Refresh a history step by step and hold a middle step and the last to a rebuild.

    With `change`, the SELECT of that model is another from the middle on.
    """
    steps = Steps(folder, template)
    middle = len(history.steps) // 2
    found: list[Difference] = []
    try:
        for number, (fetches, at) in enumerate(zip(history.steps, history.clocks, strict=True)):
            write(fetches, steps.home.landing)
            is_last = number == len(history.steps) - 1
            sql = with_another_meaning(change) if change and number >= middle else None
            if sql and number == middle:
                steps.reopen()
            with changed_select(change, sql) if change and sql else _nothing():
                steps.refresh(Clock(at))
                if number == middle or is_last:
                    found += differences(steps.home.warehouse, steps.rebuilt(Clock(at)), number)
            if found:
                break
    finally:
        steps.reopen()
        shutil.rmtree(folder, ignore_errors=True)
    return found


@contextmanager
def _nothing() -> Iterator[None]:
    yield
