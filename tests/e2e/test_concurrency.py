"""Many readers, several writers: readers never see a torn build, writers wait for each other and name the holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.cli.checksum import checksums
from pipeline.orchestration.refresh import rebuild
from pipeline.published.snapshot import publish
from pipeline.schema.tables import published
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home, build_id
from pipeline.warehouse.writer import Warehouse
from tests.bench import Bench
from tests.e2e.conftest import NOW
from tests.readers import Readers
from tests.staging.landed import NewWorkshop

pytestmark = pytest.mark.long

BUILDS = max(2, int(os.environ.get("DRAWDOWN_TEST_BUILDS", "3")))
READERS, READS_PER_SECOND = 20, 50.0


def test_twenty_readers_see_whole_builds_while_new_ones_are_published(new_workshop: NewWorkshop) -> None:
    with new_workshop() as workshop:
        readers = Readers(workshop.home, count=READERS, per_second=READS_PER_SECOND)
        for build in range(BUILDS):
            at = NOW + timedelta(hours=build)
            workshop.landing.run({f"account-{number}": {} for number in range(build + 1)}, at=at)
            for number in range(build + 1):
                body = {"balance": 100 - build, "currency": "EUR"}
                workshop.landing.answer("vpsbg", "balance", body, account_id=f"account-{number}", at=at)
            workshop.load()
            workshop.recompute("core", "marts")
            publish(workshop.connection, workshop.home, published())
            if not build:
                readers.__enter__()
        deadline = time.monotonic() + 120
        while build_id(workshop.home.current) not in readers.builds and time.monotonic() < deadline:
            time.sleep(0.05)
        readers.__exit__(None, None, None)
    print(f"\nsoak: concurrency: {READERS} readers, {BUILDS} builds: {readers}")
    assert readers.errors == []
    assert readers.reads >= READERS
    assert len(readers.builds) > 1


_HOLD = """
import sys, time
from pathlib import Path
from pipeline.support.home import Home, build_id
from pipeline.warehouse.writer import Warehouse
warehouse = Warehouse(Home(Path(sys.argv[1])))
warehouse.connection
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_writer_waits_for_a_bounded_time_and_names_the_first(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, str(home.path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        with pytest.raises(DrawdownError, match=rf"is being written by process {holder.pid} \(.*\); waited 1 s"):
            _ = Warehouse(home, wait_seconds=1).connection
        assert 1 <= time.monotonic() - began < 20
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()
    # However it ended, the lock is free at once.
    warehouse = Warehouse(home, wait_seconds=1)
    assert warehouse.connection
    warehouse.close()


def test_two_concurrent_runs_and_rebuilds_leave_the_same_as_one(tmp_path: Path) -> None:
    days = [f"{NOW - timedelta(days=back):%Y-%m-%d},{100 + back},EUR" for back in range(40, 0, -2)]
    (tmp_path / "registrar.csv").write_text("\n".join(["observed_at_utc,balance_amount,unit_code", *days]) + "\n")
    bench = Bench(tmp_path, '[accounts.registrar]\nvendor = "manual"\npath = "registrar.csv"\n')
    bench.run()
    with Readers(bench.home) as readers:
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "pipeline.cli", command],
                env={**os.environ, **bench.environment},
                cwd=bench.folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for command in ("run", "rebuild", "run", "rebuild")
        ]
        ended = {each.pid: (each.communicate(timeout=400)[1], each.returncode) for each in started}
    assert readers.errors == []
    for said, code in ended.values():
        # A bounded wait may end on a busy machine; then the holder is one of the others.
        assert code == 0 or any(f"is being written by process {pid} " in said for pid in ended), said
    assert [code for _, code in ended.values()].count(0) >= 2
    assert not list(bench.home.path.glob("warehouse.rebuilding*"))
    assert bench.run().is_ok
    left = checksums(bench.home.current)
    rebuild(bench.home)
    assert checksums(bench.home.current) == left
