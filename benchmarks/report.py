"""The report of 50 and of 200 accounts: how long it takes, and how large it is."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import duckdb

from benchmarks.table import Row
from pipeline.home import Home
from pipeline.published.report import publish_report
from pipeline.schema.tables import published

_DEMO_DAYS: Final = 65
"""Polled days: more than the 60 of which a card shows readings."""


def replicate(times: int, *, only: str | None = None) -> list[str]:
    """Statements that make so many accounts of each of a published build's accounts, all rows alike, or of one alone."""
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
    """The rows about the report."""
    scratch.mkdir(parents=True, exist_ok=True)
    home = Home(scratch / "demo")
    if not home.current.exists():
        subprocess.run(
            [sys.executable, "-c", "from pipeline.cli import main; main()", "demo", "--days", str(_DEMO_DAYS)],
            env={**os.environ, "DRAWDOWN_HOME": str(home.path)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
    rows = []
    for times, least in ((6, 50), (23, 200)):
        accounts, size, seconds = _report(home, scratch, times)
        how = f"{accounts} accounts of the demo's kinds, {_DEMO_DAYS} polled days, {size / accounts / 1000:.0f} kB an account"
        if least == 50:
            rows.append(
                Row(what="the report of 50 accounts", measured=f"{size / 1e6:.2f} MB", goal="under 2 MB",
                    is_reached=size < 2_000_000, how=f"{how}, {seconds:.1f} s")
            )  # fmt: skip
        else:
            rows.append(
                Row(what="the report of 200 accounts", measured=f"{seconds:.1f} s", goal="under 10 s",
                    is_reached=seconds < 10, how=f"{how}, {size / 1e6:.1f} MB; median of 3, without process start")
            )  # fmt: skip
    return rows


def _report(source: Home, scratch: Path, times: int) -> tuple[int, int, float]:
    """How many accounts, how many bytes, and how long: each time read, drawn and written anew."""
    home = Home(scratch / f"times-{times}")
    home.published.mkdir(parents=True, exist_ok=True)
    home.current.unlink(missing_ok=True)
    home.current.write_bytes(source.current.read_bytes())
    with duckdb.connect(home.current) as connection:
        for statement in replicate(times):
            connection.execute(statement)
        [(accounts,)] = connection.execute("SELECT count(*) FROM marts.account_status").fetchall()
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        path = publish_report(home.current, home)
        took.append(time.perf_counter() - begun)
    return int(accounts), path.stat().st_size, statistics.median(took)
