"""Today's code against an earlier commit's: alternating, in one run."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import duckdb

from benchmarks.bulk import land_entries
from benchmarks.command import Drawdown, Usage, medians
from benchmarks.rebuild import land_answers
from benchmarks.table import Row
from pipeline import sandbox

EARLIER: Final = "f1a5321"
"""The commit that is compared with: before refreshes were made faster."""
REFRESHES: Final = 5
REBUILDS: Final = 3
"""Fewer rounds, because each is longer."""
ANSWERS: Final = 100_000
ENTRIES: Final = 2_000_000
_SUMS: Final = {
    table: f"SELECT unit_code, count(*), sum({amount}) FROM {table} GROUP BY unit_code ORDER BY unit_code"
    for table, amount in (
        ("core.balance_snapshots", "balance_amount"),
        ("core.ledger_entries", "entry_amount"),
        ("core.spend_daily", "spend_amount"),
    )
}
_CLONE: Final = Path(__file__).parent.parent


def measure(scratch: Path) -> list[Row]:
    """Compare a refresh that finds nothing new. Empty if the clone does not have the earlier commit."""
    earlier = _checkout(scratch)
    if earlier is None:
        return []
    with sandbox.start(seed=1) as world:
        accounts = scratch / "accounts.toml"
        accounts.write_text(world.accounts_toml(), encoding="utf-8")
        sides = _sides(scratch, accounts, dict(world.keys), earlier)
        for each in sides:
            # The second refresh publishes a build beside the first, as every later one does.
            each.usage("run")
            each.usage("run")
        return _rows(
            "A refresh of all the sandbox's accounts that finds nothing new",
            _alternate(sides, lambda each: each.usage("run"), REFRESHES),
            {"wall time": 0.45, "CPU time": 0.45, "peak memory": 0.55},
        )


def measure_rebuild(scratch: Path, answers: int) -> list[Row]:
    """Compare a rebuild of small answers in one file for each run and endpoint. Empty without the earlier commit."""
    earlier = _checkout(scratch)
    if earlier is None:
        return []
    accounts, landed = land_answers(scratch / "landed", answers, is_merged=False)
    sides = _sides(scratch, accounts, {"BENCH_KEY": "bench"}, earlier, landing=scratch / "landed" / "landing")
    files = sum(1 for _ in (scratch / "landed").rglob("*.parquet"))
    rounds = _alternate(sides, lambda each: each.usage("rebuild"), REBUILDS)
    _check_equal(sides)
    return _rows(
        f"`drawdown rebuild` of {landed:,} answers in {files:,} files",
        rounds,
        {"wall time": 0.4, "CPU time": 0.4},
    )


def measure_entries(scratch: Path, entries: int) -> list[Row]:
    """Compare ledger entries from landing to published. Empty if the clone does not have the earlier commit."""
    earlier = _checkout(scratch)
    if earlier is None:
        return []
    landing = scratch / "landed" / "landing"
    accounts = land_entries(scratch / "landed", landing, entries)
    sides = _sides(scratch, accounts, {"BENCH_KEY": "bench"}, earlier, landing=landing)
    rounds = _alternate(sides, Drawdown.usage_from_landing, REBUILDS)
    _check_equal(sides)
    return _rows(
        f"{entries:,} ledger entries from landing to published",
        rounds,
        {"wall time": 0.35, "CPU time": 0.35},
    )


def _checkout(scratch: Path) -> Path | None:
    """The earlier commit's files, in an emptied `scratch`; None if the clone does not have the commit."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    archive = subprocess.run(
        [shutil.which("git") or "git", "-C", _CLONE, "archive", EARLIER], capture_output=True, check=False
    )
    if archive.returncode:
        print(f"the clone has no commit {EARLIER}: git fetch --unshallow")
        return None
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(scratch / "earlier", filter="data")
    return scratch / "earlier"


def _sides(
    scratch: Path, accounts: Path, keys: dict[str, str], earlier: Path, *, landing: Path | None = None
) -> tuple[Drawdown, Drawdown]:
    """Today's code and the earlier commit's, each with its own state folder, in which `landing` is landed."""
    homes = scratch / "home-today", scratch / "home-earlier"
    lines = accounts.read_text(encoding="utf-8").splitlines(keepends=True)
    # The earlier commit requests no exchange rates, and does not know the setting.
    without_rates = accounts.with_name("accounts-earlier.toml")
    without_rates.write_text("".join(line for line in lines if not line.startswith("fx")), encoding="utf-8")
    if landing is not None:
        for home in homes:
            shutil.copytree(landing, home / "landing")
    today, before = (
        Drawdown(home, each, keys, package=package)
        for home, each, package in zip(homes, (accounts, without_rates), (_CLONE, earlier), strict=True)
    )
    return today, before


def _alternate(
    sides: tuple[Drawdown, Drawdown], work: Callable[[Drawdown], Usage], rounds: int
) -> list[tuple[Usage, Usage]]:
    return [(work(sides[0]), work(sides[1])) for _ in range(rounds)]


def _check_equal(sides: tuple[Drawdown, Drawdown]) -> None:
    """Raise RuntimeError if the sides have published other readings, entries or spend."""
    published = []
    for side in sides:
        with duckdb.connect((side.home / "published" / "current.duckdb").resolve(), read_only=True) as connection:
            published.append({table: connection.execute(query).fetchall() for table, query in _SUMS.items()})
    if published[0] != published[1]:
        raise RuntimeError(f"today's code published {published[0]}, the earlier {published[1]}")


def _rows(what: str, rounds: list[tuple[Usage, Usage]], goals: Mapping[str, float]) -> list[Row]:
    """Rows of wall time, CPU time and peak memory: today's median over the earlier one."""
    today, before = (medians([each[side] for each in rounds]) for side in (0, 1))
    rows = []
    for name, unit, now, then in (
        ("wall time", "s", today.seconds, before.seconds),
        ("CPU time", "CPU-s", today.cpu_seconds, before.cpu_seconds),
        ("peak memory", "MB", today.peak_mb, before.peak_mb),
    ):
        goal = goals.get(name)
        rows.append(
            Row(
                what=f"{what}, against commit {EARLIER}: {name}",
                measured=f"{now / then:.2f}",
                goal=f"at most {goal:g}" if goal else "",
                is_reached=now / then <= goal if goal else None,
                how=f"{now:.1f} {unit} against {then:.1f} {unit}; alternating, medians of {len(rounds)} whole processes",
            )
        )
    return rows
