"""Time and size of the report and the status for 50 and for 200 accounts."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import duckdb

from benchmarks.command import Drawdown, median
from benchmarks.table import Row
from pipeline.published.report import publish_report
from pipeline.schema.tables import published
from pipeline.support.home import BUILD_FILE, Home

_DEMO_DAYS: Final = 65
"""Polled days: more than the 60 whose readings a card shows."""


def replicate(times: int, *, only: str | None = None) -> list[str]:
    """Statements that multiply each account of a published build, or a single one."""
    statements = []
    for table in published():
        if "account_id" not in table.column_names:
            continue
        name = table.full_name
        if only:
            statements.append(f"DELETE FROM {name} WHERE account_id NOT IN ('{only}', '*')")
        statements.append(
            f"INSERT INTO {name} BY NAME "
            f"SELECT one.* REPLACE (one.account_id || '-' || copies.number AS account_id) "
            f"FROM {name} AS one CROSS JOIN (SELECT unnest(range(2, {times + 1})) AS number) AS copies "
            "WHERE one.account_id <> '*'"
        )
    return statements


def measure(scratch: Path) -> list[Row]:
    """Measure the report."""
    scratch.mkdir(parents=True, exist_ok=True)
    home = Home(scratch / "demo")
    if not home.current.exists():
        subprocess.run(
            [sys.executable, "-c", "from pipeline.cli import main; main()", "demo", "--days", str(_DEMO_DAYS)],
            env={**os.environ, "DRAWDOWN_HOME": str(home.path)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    small, large = _fleet(home, scratch, 6), _fleet(home, scratch, 23)
    return [*_small(small), *_large(large)]


def _small(home: Home) -> list[Row]:
    accounts, size, seconds = _report(home)
    return [
        Row(what="The report of 50 accounts", measured=f"{size / 1e6:.2f} MB", goal="under 2 MB",
            is_reached=accounts >= 50 and size < 2_000_000,
            how=f"{_of(accounts)}, {size / accounts / 1000:.0f} kB an account, {seconds:.1f} s"),
    ]  # fmt: skip


def _large(home: Home) -> list[Row]:
    accounts, size, seconds = _report(home)
    status = median(lambda: Drawdown(home.path, home.path / "accounts.toml", {}).seconds("status"))
    return [
        Row(what="The report of 200 accounts", measured=f"{seconds:.1f} s", goal="under 10 s",
            is_reached=accounts >= 200 and seconds < 10,
            how=f"{_of(accounts)}, {size / 1e6:.1f} MB; median of 3, without process start"),
        Row(what="`drawdown status` of 200 accounts", measured=f"{status:.2f} s", goal="under 1 s",
            is_reached=accounts >= 200 and status < 1, how=f"{_of(accounts)}; with process start, median"),
    ]  # fmt: skip


def _of(accounts: int) -> str:
    return f"{accounts} accounts of the demo's kinds, {_DEMO_DAYS} polled days"


def _fleet(source: Home, scratch: Path, times: int) -> Home:
    """A state folder whose published build has each of the demo's accounts multiple times."""
    home = Home(scratch / f"times-{times}")
    shutil.rmtree(home.path, ignore_errors=True)
    build = home.published / "versions" / "replicated" / BUILD_FILE
    build.parent.mkdir(parents=True)
    shutil.copyfile(source.current, build)
    with duckdb.connect(build) as connection:
        for statement in replicate(times):
            connection.execute(statement)
    home.current.symlink_to(build.relative_to(home.published))
    return home


def _report(home: Home) -> tuple[int, int, float]:
    """Number of accounts, bytes, and seconds to read, draw and write the report."""
    with duckdb.connect(home.current.resolve(), read_only=True) as connection:
        [(accounts,)] = connection.execute("SELECT count(*) FROM marts.account_status").fetchall()
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        path = publish_report(home.current, home)
        took.append(time.perf_counter() - begun)
    return int(accounts), path.stat().st_size, statistics.median(took)
