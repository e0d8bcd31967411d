"""A hundred thousand small answers from landing to published, compared with DuckDB's own scan of the same files."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path
from typing import Final

import duckdb

from benchmarks.command import Drawdown, median
from benchmarks.fleet import END, Fleet
from benchmarks.table import Row

FETCHES: Final = 100_000
# An hour of the fleet is 71 answers, and a day has 20 ledgers in addition.
_HOURS_FOR_1000: Final = 14
_SCANS: Final = 3


def scan(landing: Path) -> float:
    """Seconds in which DuckDB reads every answer's bytes and id."""
    began = time.perf_counter()
    with duckdb.connect() as connection:
        connection.execute(
            "SELECT count(DISTINCT fetch_id), sum(octet_length(body)) "
            f"FROM read_parquet('{landing}/*/*/*/*/*/*.parquet', union_by_name = true)"
        ).fetchall()
    return time.perf_counter() - began


def land_answers(scratch: Path, answers: int, *, is_merged: bool) -> tuple[Path, int]:
    """Land at least a number of answers in an emptied `scratch`; returns its accounts.toml and the number landed.

    Raises RuntimeError if there are fewer.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    fleet = Fleet(scratch / "landing", hours=math.ceil(answers * _HOURS_FOR_1000 / 1000), end=END)
    accounts = scratch / "accounts.toml"
    accounts.write_text(fleet.accounts_toml(), encoding="utf-8")
    landed = fleet.land_history(accounts, is_merged=is_merged)
    if landed < answers:
        raise RuntimeError(f"{landed} answers are fewer than {answers}")
    return accounts, landed


def measure(scratch: Path) -> list[Row]:
    """Rebuild a fleet's landing of about two months: compacted, and as the runs left it."""
    return [_row(scratch / "compacted", is_merged=True), _row(scratch / "as-landed", is_merged=False)]


def _row(scratch: Path, *, is_merged: bool) -> Row:
    accounts, fetches = land_answers(scratch, FETCHES, is_merged=is_merged)
    files = sum(1 for _ in (scratch / "landing").rglob("*.parquet"))
    took = Drawdown(scratch, accounts, {"BENCH_KEY": "bench"}).seconds("rebuild")
    scanned = median(lambda: scan(scratch / "landing"), _SCANS)
    return Row(
        what=f"`drawdown rebuild` of {fetches:,} answers in {files:,} files, compared with DuckDB's own scan of them",
        measured=f"{took:.1f} s, {took / scanned:.0f} scans",
        how=f"{fetches / took:,.0f} answers a second with process start, decoding, contracts, every table, publishing; a "
        f"scan of all bodies takes {scanned:.2f} s",
    )
