"""The cost of a refresh after a month and after years, and the size on disk: fifty accounts hourly, a thousand daily."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path

from benchmarks.command import WITHOUT_VENDORS, Drawdown, size_mb
from benchmarks.fleet import ACCOUNTS, END, HOURS_A_MONTH, Fleet
from benchmarks.table import Row
from pipeline.landing.compact import compact

MONTHS = 60
MANY_ACCOUNTS, MANY_ACCOUNTS_MONTHS = 1_000, 12
MOST, MOST_FOR_MANY_ACCOUNTS = 1.3, 1.5
"""Goals: a refresh after all months over one after the first."""
_REFRESHES = 5


@dataclass(slots=True)
class _World:
    """A fleet with its state folder, built up to its last hour."""

    fleet: Fleet
    drawdown: Drawdown
    fetches: int
    build_seconds: float

    def refresh(self) -> float:
        """Land one more run and refresh."""
        self.fleet.land_next_run()
        return self.drawdown.seconds("run", "--select", WITHOUT_VENDORS)


def _world(scratch: Path, months: int, *, times: int = 1, run_every_hours: int = 1) -> _World:
    home = scratch / f"{months}-months"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    fleet = Fleet(home / "landing", hours=months * HOURS_A_MONTH, end=END, times=times, run_every_hours=run_every_hours)
    accounts = home / "accounts.toml"
    accounts.write_text(fleet.accounts_toml(), encoding="utf-8")
    drawdown = Drawdown(home, accounts, {"BENCH_KEY": "bench"})
    fetches = fleet.land_history(accounts)
    return _World(fleet, drawdown, fetches, drawdown.usage_from_landing().seconds)


def _refreshes(short: _World, long: _World) -> tuple[float, float]:
    """Median seconds of a refresh of each world."""
    # Alternately, so that other load on the machine affects both alike.
    pairs = [(short.refresh(), long.refresh()) for _ in range(_REFRESHES)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def _uncompacted(scratch: Path) -> tuple[float, float]:
    """MB of a month of landing as hourly runs leave it, and after compaction."""
    home = scratch / "uncompacted"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    fleet = Fleet(home / "landing", hours=HOURS_A_MONTH, end=END)
    accounts = home / "accounts.toml"
    accounts.write_text(fleet.accounts_toml(), encoding="utf-8")
    fleet.land_history(accounts, is_merged=False)
    before = size_mb(home / "landing")
    compact(home / "landing", END.date())
    return before, size_mb(home / "landing")


def measure(scratch: Path) -> list[Row]:
    """Compare five years with one month, both with the same commands."""
    short, long = _world(scratch, 1), _world(scratch, MONTHS)
    after_one, after_all = _refreshes(short, long)
    snapshots = long.fleet.hours * ACCOUNTS
    loose, merged = _uncompacted(scratch)
    home = long.drawdown.home
    return [
        Row(
            what=f"A refresh after {MONTHS} months against one after 1 month ({ACCOUNTS} accounts, hourly)",
            measured=f"{after_all / after_one:.2f}",
            goal=f"at most {MOST:g}",
            is_reached=after_all / after_one <= MOST,
            how=f"{after_all:.1f} s with {snapshots / 1e6:.2f} million snapshots, {after_one:.1f} s with "
            f"{short.fleet.hours * ACCOUNTS:,}; whole processes, medians of {_REFRESHES}; the first build of "
            f"{long.fetches / 1e6:.2f} million answers took {long.build_seconds:.0f} s",
        ),
        Row(
            what=f"Disk after {MONTHS} months",
            measured=f"landing {size_mb(home / 'landing'):.0f} MB, warehouse {size_mb(home / 'warehouse.duckdb'):.0f} MB, "
            f"a published build {size_mb((home / 'published' / 'current.duckdb').resolve()):.0f} MB and its Parquet "
            f"{size_mb((home / 'published' / 'parquet').resolve()):.0f} MB, all builds together "
            f"{size_mb(home / 'published' / 'versions'):.0f} MB",
            how=f"landing compacted; a month of it takes {loose:.0f} MB as runs leave it and {merged:.1f} MB compacted, "
            f"so {MONTHS} months never compacted would take about {loose * MONTHS / 1000:.1f} GB; three builds are kept",
        ),
    ]


def measure_many_accounts(scratch: Path, accounts: int) -> list[Row]:
    """Compare a year with a month, for more accounts that are polled once a day: hourly ones would give 12 million answers."""
    times = max(accounts // ACCOUNTS, 1)
    short, long = (_world(scratch, months, times=times, run_every_hours=24) for months in (1, MANY_ACCOUNTS_MONTHS))
    after_one, after_all = _refreshes(short, long)
    return [
        Row(
            what=f"A refresh after {MANY_ACCOUNTS_MONTHS} months against one after 1 month ({long.fleet.accounts:,} accounts, "
            "daily)",
            measured=f"{after_all / after_one:.2f}",
            goal=f"at most {MOST_FOR_MANY_ACCOUNTS:g}",
            is_reached=after_all / after_one <= MOST_FOR_MANY_ACCOUNTS,
            how=f"{after_all:.1f} s with {long.fetches:,} answers, {after_one:.1f} s with {short.fetches:,}; whole "
            f"processes, medians of {_REFRESHES}; the first builds took {long.build_seconds:.0f} s and "
            f"{short.build_seconds:.0f} s",
        )
    ]
