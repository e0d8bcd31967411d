"""`make bench-spark`: builds on a Spark cluster of two workers on this machine, compared with DuckDB's on the same cores.

python -m benchmarks.spark_builds                150 accounts, 1.3 million readings; half an hour
python -m benchmarks.spark_builds --times 10     500 accounts, 4.4 million readings; two hours
python -m benchmarks.spark_builds --write        the same as without, and replace the table of docs/scale.md

It needs drawdown[spark] and Java. Goals are ratios within one run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.command import WITHOUT_VENDORS, Drawdown, Usage, scratch_folder, size_mb
from benchmarks.fleet import ACCOUNTS, END, HOURS_A_MONTH, Fleet
from benchmarks.table import Row, markdown, replace_between
from tests.cluster.spark_cluster import Cluster, running_cluster

PAGE: Final = Path(__file__).parent.parent / "docs" / "scale.md"
MONTHS: Final = 12
MOST_OVER_DUCKDB, MOST_FOR_THREE_TIMES, MOST_FOR_A_REFRESH, MOST_GB = 2.0, 3.3, 1.6, 2.0
"""Goals: wall time over DuckDB's, of three times the readings, of a refresh; memory of an executor."""
_REFRESHES: Final = 3
_ACCOUNTS_OF_A_SHARD: Final = 10
_HEAP: Final = "512m"
_TASK_MB: Final = 512


@dataclass
class _Executors(threading.Thread):
    """Samples each executor with its Python processes until it is stopped."""

    cluster: Cluster
    peak_gb: float = 0.0
    """Most resident memory of one executor's processes together; pages that they share count for each."""
    cpu_seconds: dict[int, float] = field(default_factory=dict)
    """What each process has used, by its id."""
    _has_ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Sample twice a second."""
        while not self._has_ended.wait(0.5):
            processes = {int(path.name): _process(path) for path in Path("/proc").glob("[0-9]*")}
            for executor in self.cluster.executors():
                own = {executor}
                while more := {each for each, found in processes.items() if found.parent in own} - own:
                    own |= more
                found = {each: processes[each] for each in own if each in processes}
                self.peak_gb = max(self.peak_gb, sum(each.size for each in found.values()) / 1e9)
                self.cpu_seconds |= {each: process.cpu_seconds for each, process in found.items()}

    def stop(self) -> None:
        """End the sampling."""
        self._has_ended.set()
        self.join()


@dataclass(frozen=True, slots=True)
class _Process:
    """A process as the kernel describes it."""

    parent: int = 0
    size: int = 0
    """Resident bytes."""
    cpu_seconds: float = 0.0


def _process(folder: Path) -> _Process:
    with suppress(OSError, ValueError):
        values = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks = int(values[11]) + int(values[12])
        return _Process(int(values[1]), int(values[21]) * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))
    return _Process()


@dataclass(slots=True)
class _World:
    """A fleet's landing, and state folders that build it with each engine."""

    fleet: Fleet
    folder: Path
    accounts: Path
    fetches: int

    @property
    def readings(self) -> int:
        """Number of readings of balances."""
        return self.fleet.hours * self.fleet.accounts

    @property
    def shards(self) -> int:
        """Number of shards."""
        return max(4, self.fleet.accounts // _ACCOUNTS_OF_A_SHARD)

    def with_duckdb(self) -> Usage:
        """Rebuild on this machine."""
        return self._drawdown("duckdb", {}).usage("rebuild")

    def with_spark(self, cluster: Cluster, *arguments: str) -> tuple[Usage, _Executors]:
        """Run a command on the cluster; returns what the process took, and what the executors took."""
        executors = _Executors(cluster)
        executors.start()
        usage = self._drawdown(
            "spark",
            {
                "DRAWDOWN_ENGINE": "spark", "DRAWDOWN_SPARK_MASTER": cluster.url,
                "DRAWDOWN_STORAGE": f"file://{self.folder}/lake", "SPARK_LOCAL_IP": "127.0.0.1",
                "PYSPARK_PYTHON": sys.executable,
                "PYSPARK_SUBMIT_ARGS": f"--conf spark.executor.memory={_HEAP} pyspark-shell",
            },
        ).usage(*arguments)  # fmt: skip
        executors.stop()
        return usage, executors

    def _drawdown(self, name: str, more: dict[str, str]) -> Drawdown:
        home = self.folder / name
        home.mkdir(exist_ok=True)
        if not (home / "landing").exists():
            (home / "landing").symlink_to(self.fleet.landing)
        return Drawdown(home, self.accounts, {"BENCH_KEY": "bench", **more})


def _world(scratch: Path, months: int, times: int) -> _World:
    folder = scratch / f"{months}-months"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fleet = Fleet(folder / "landing", hours=months * HOURS_A_MONTH, end=END, times=times)
    accounts = folder / "accounts.toml"
    world = _World(fleet, folder, accounts, 0)
    table = f"\n[spark]\nshards = {world.shards}\ntask_memory_mb = {_TASK_MB}\n"
    accounts.write_text(fleet.accounts_toml() + table, encoding="utf-8")
    world.fetches = fleet.land_history(accounts)
    print(f"{world.readings:,} readings of {fleet.accounts} accounts landed", file=sys.stderr, flush=True)
    return world


def measure(scratch: Path, times: int) -> Iterator[Row]:
    """Rebuild a year and a third of it, and refresh after a year and after a month."""
    worlds = {months: _world(scratch, months, times) for months in (1, MONTHS // 3, MONTHS)}
    whole, third, month = worlds[MONTHS], worlds[MONTHS // 3], worlds[1]
    with running_cluster(scratch / "cluster") as cluster:
        duckdb = whole.with_duckdb()
        spark, executors = whole.with_spark(cluster, "rebuild")
        used = spark.cpu_seconds + sum(executors.cpu_seconds.values())
        yield Row(
            what=f"`drawdown rebuild` with Spark against DuckDB ({whole.readings:,} readings, {whole.fetches:,} answers)",
            measured=f"{spark.seconds / duckdb.seconds:.2f}",
            goal=f"at most {MOST_OVER_DUCKDB:g}",
            is_reached=spark.seconds / duckdb.seconds <= MOST_OVER_DUCKDB,
            how=f"{spark.seconds:.0f} s and {used:.0f} CPU-s with {whole.shards} shards, {duckdb.seconds:.0f} s and "
            f"{duckdb.cpu_seconds:.0f} CPU-s with DuckDB, which took {duckdb.peak_mb / 1000:.1f} GB",
        )
        yield Row(
            what="Memory of an executor in that build, with its Python processes",
            measured=f"{executors.peak_gb:.2f} GB",
            goal=f"at most {MOST_GB:g} GB",
            is_reached=executors.peak_gb <= MOST_GB,
            how=f"most resident memory, sampled twice a second; a heap of {_HEAP}, and {_TASK_MB} MB for DuckDB",
        )
        small, _ = third.with_spark(cluster, "rebuild")
        yield Row(
            what=f"The same build of {whole.readings:,} readings against {third.readings:,}",
            measured=f"{spark.seconds / small.seconds:.2f}",
            goal=f"at most {MOST_FOR_THREE_TIMES:g}",
            is_reached=spark.seconds / small.seconds <= MOST_FOR_THREE_TIMES,
            how=f"{spark.seconds:.0f} s and {small.seconds:.0f} s",
        )
        yield _per_million(whole, duckdb.cpu_seconds, used)
        month.with_spark(cluster, "rebuild")
        yield _refreshes(month, whole, cluster)


def _per_million(world: _World, duckdb_seconds: float, spark_seconds: float) -> Row:
    millions = world.readings / 1e6
    sizes = {
        "landing": size_mb(world.fleet.landing),
        "DuckDB's warehouse": size_mb(world.folder / "duckdb" / "warehouse.duckdb"),
        "its published build": size_mb((world.folder / "duckdb" / "published" / "current.duckdb").resolve()),
        "the lake's tables": size_mb(world.folder / "lake" / "tables"),
        "the shards' warehouses": size_mb(world.folder / "lake" / "shards"),
    }
    return Row(
        what="CPU seconds of a rebuild for a million readings",
        measured=f"{spark_seconds / millions:.0f} with Spark, {duckdb_seconds / millions:.0f} with DuckDB",
        how="bytes a reading: " + ", ".join(f"{size / millions:.0f} in {name}" for name, size in sizes.items()),
    )


def _refreshes(short: _World, long: _World, cluster: Cluster) -> Row:
    taken: dict[int, list[float]] = {1: [], MONTHS: []}
    # One more than counts: the first continues a rebuild, and issues the day's forecasts.
    for _ in range(_REFRESHES + 1):
        for months, world in ((1, short), (MONTHS, long)):
            world.fleet.land_next_run()
            taken[months].append(world.with_spark(cluster, "run", "--select", WITHOUT_VENDORS)[0].seconds)
    after_one, after_all = (statistics.median(taken[months][1:]) for months in (1, MONTHS))
    return Row(
        what=f"An hourly refresh with Spark after {MONTHS} months against one after 1 month",
        measured=f"{after_all / after_one:.2f}",
        goal=f"at most {MOST_FOR_A_REFRESH:g}",
        is_reached=after_all / after_one <= MOST_FOR_A_REFRESH,
        how=f"{after_all:.1f} s and {after_one:.1f} s; {long.fleet.accounts} accounts, {long.shards} shards, whole "
        f"processes with Spark's start, medians of {_REFRESHES}",
    )


def main() -> int:
    """Measure and print; returns 1 if a goal was not reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spark_builds", description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=3, help=f"multiple of {ACCOUNTS} accounts; default: 3")
    parser.add_argument("--write", action="store_true", help="keep the results in the table of docs/scale.md")
    parser.add_argument("--scratch", type=Path, help="where the data is made and kept")
    asked = parser.parse_args()
    os.environ.pop("SPARK_HOME", None)
    rows = []
    with scratch_folder(asked.scratch) as scratch:
        (scratch / "cluster").mkdir(exist_ok=True)
        for row in measure(scratch, asked.times):
            print(row.line(), flush=True)
            rows.append(row)
    if asked.write:
        command = f"python -m benchmarks.spark_builds --times {asked.times}"
        when = datetime.now(UTC).date()
        replace_between(PAGE, "measured", f"Measured on {when} on two cores by `{command}`.\n\n{markdown(rows)}")
    return 0 if all(row.is_reached is not False for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
