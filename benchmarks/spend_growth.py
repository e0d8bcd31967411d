"""Spend by day of ten times as many accounts: its cost must grow in proportion to them."""

from __future__ import annotations

import shutil
import statistics
import time
from decimal import Decimal
from pathlib import Path
from typing import Final

import duckdb

from benchmarks.command import Drawdown
from benchmarks.fleet import ACCOUNTS, END, HOURS_A_MONTH, Fleet
from benchmarks.table import Row
from pipeline.models.discovery import discover
from pipeline.models.months import mark_all_dirty
from pipeline.models.recompute import recompute
from pipeline.schema.tables import ALL
from pipeline.support.home import Home
from pipeline.warehouse.layout import layout
from pipeline.warehouse.writer import Warehouse

MONTHS: Final = 12
COPIES: Final = 10
MOST: Final = 11
"""Goal: CPU time with ten times the accounts, over that without."""
_TIMES: Final = 3
_SPEND: Final = "core.spend_daily"


def measure(scratch: Path, months: int) -> list[Row]:
    """Make all months of spend by day, of the fleet and of ten copies of its rows, alternately.

    Raises RuntimeError if ten copies do not have ten times the rows and the spend.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    small, large = Home(scratch / "small"), Home(scratch / "large")
    for home in (small, large):
        home.path.mkdir(parents=True)
    fleet = Fleet(small.path / "landing", hours=months * HOURS_A_MONTH, end=END)
    accounts = scratch / "accounts.toml"
    accounts.write_text(fleet.accounts_toml(), encoding="utf-8")
    fleet.land_history(accounts)
    Drawdown(small.path, accounts, {"BENCH_KEY": "bench"}).usage_from_landing("group:staging or group:core")
    shutil.copyfile(small.warehouse, large.warehouse)
    with duckdb.connect(large.warehouse) as connection:
        for statement in copies_of_accounts():
            connection.execute(statement)
    pairs = [(_cpu_seconds(small), _cpu_seconds(large)) for _ in range(_TIMES)]
    (rows, spent), (more_rows, more_spent) = _totals(small), _totals(large)
    if (more_rows, more_spent) != (COPIES * rows, COPIES * spent):
        raise RuntimeError(f"{more_rows} rows of {COPIES} x {rows}, {more_spent} spent of {COPIES} x {spent}")
    few, many = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    return [
        Row(
            what=f"`{_SPEND}` of {COPIES * ACCOUNTS} accounts for {months} months, against {ACCOUNTS} accounts: CPU time",
            measured=f"{many / few:.1f}",
            goal=f"at most {MOST}",
            is_reached=many / few <= MOST,
            how=f"{many:.2f} CPU-s for {more_rows:,} rows, {few:.2f} CPU-s for {rows:,}; all months, without process "
            f"start, medians of {_TIMES}",
        )
    ]


def copies_of_accounts() -> list[str]:
    """Statements that add nine copies of each account to the stored tables of staging and core."""
    made = {table.full_name for table in ALL.values() if table.is_view}
    return [
        f"INSERT INTO {table.full_name} BY NAME "
        f"SELECT one.* REPLACE (one.account_id || '-' || copies.number AS account_id) "
        f"FROM {table.full_name} AS one CROSS JOIN (SELECT unnest(range(2, {COPIES + 1})) AS number) AS copies "
        "WHERE one.account_id <> '*'"
        for table in layout()[0]
        if "account_id" in table.column_names and table.layer in ("staging", "core") and table.full_name not in made
    ]


def _cpu_seconds(home: Home) -> float:
    """CPU seconds of making every month, by all threads of this process."""
    warehouse = Warehouse(home)
    try:
        with warehouse.transaction() as connection:
            connection.execute(f"DELETE FROM {_SPEND}")
            mark_all_dirty(connection, [_SPEND])
            began = time.process_time()
            recompute(connection, discover()[_SPEND])
            return time.process_time() - began
    finally:
        warehouse.close()


def _totals(home: Home) -> tuple[int, Decimal]:
    """Rows, and the sum of their amounts, whatever their units."""
    with duckdb.connect(home.warehouse, read_only=True) as connection:
        [(rows, spent)] = connection.execute(f"SELECT count(*), sum(spend_amount) FROM {_SPEND}").fetchall()
    return rows, spent
