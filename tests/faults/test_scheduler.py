"""Runs killed under the scheduler: Dagster's own daemon, its ticks, its queue, and runs in processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipeline.orchestration.lost_runs import _is_alive, _process_id
from pipeline.warehouse.writer import Warehouse
from tests import sandbox_faults as sandboxes
from tests.bench import Bench
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

CLONE = Path(__file__).parents[2]
NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)
SOON, LATE = NOW + timedelta(hours=1), NOW + timedelta(days=10)
# Far longer than any of it takes on an idle machine.
_PATIENCE_SECONDS = 400
_STARTED, _SUCCESS, _FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
_USAGE = "SELECT account_id, usage_date, credits_amount, is_partial FROM core.usage_days ORDER BY ALL"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with sandboxes.start(seed=3, days=30, now=NOW, vendors=["voxpria"]) as world:
        yield world


@pytest.fixture
def bench(tmp_path: Path, sandbox: Sandbox) -> Bench:
    made = Bench(tmp_path, sandbox.accounts_toml(), sandbox.keys)
    assert made.command("init", "--dagster", DAGSTER_HOME=str(made.home.dagster)).returncode == 0
    made.run(NOW)
    return made


@contextmanager
def _process(bench: Bench, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command and its children, all killed at the end of the block."""
    own = {"DAGSTER_HOME": str(bench.home.dagster), "EVERY_MINUTE_CLOCK": str(bench.folder / "clock")}
    process = subprocess.Popen(
        command,
        cwd=CLONE,
        env={**os.environ, **bench.environment, **own},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # Also if it has ended: its children may continue.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.2)


@pytest.mark.faults(45)
def test_killed_runs_release_the_lock_and_do_not_block_the_schedule_which_catches_up(
    bench: Bench, sandbox: Sandbox
) -> None:
    clock = bench.folder / "clock"
    clock.write_text(SOON.isoformat())
    with dg.DagsterInstance.from_config(str(bench.home.dagster)) as instance:

        def with_status(*statuses: dg.DagsterRunStatus) -> set[str]:
            return {run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=list(statuses)))}

        def asked() -> int:
            return len(sandbox.requests())

        # Everything dies at once, as in a power failure: no process is left to report to Dagster.
        sandbox.put_fault("hang")
        before = asked()
        with _process(bench, sys.executable, "-m", "pipeline.cli", "run", "--as-of", SOON.isoformat()):
            _until(lambda: asked() > before)
        [cut] = with_status(_STARTED)
        warehouse = Warehouse(bench.home, wait_seconds=1)
        assert warehouse.connection
        warehouse.close()

        before = asked()
        daemon = str(Path(sys.executable).with_name("dagster-daemon"))
        with _process(bench, daemon, "run", "-m", "tests.faults.every_minute", "-d", str(CLONE)):
            # The tick's run starts once the lost one is ended.
            _until(lambda: asked() > before)
            assert with_status(_FAILURE) == {cut}

            # A run's process dies under the daemon, which stays.
            [killed] = with_status(_STARTED)
            process = _process_id(instance, killed)
            assert process is not None
            os.kill(process, signal.SIGKILL)
            began = time.monotonic()
            sandbox.clear_faults()
            # Ten days of ticks are missed, which is more than an ordinary look-back.
            sandbox.move_clock(LATE)
            clock.write_text(LATE.isoformat())
            _until(lambda: killed in with_status(_FAILURE))
            marked = time.monotonic() - began
            late = dg.RunsFilter(statuses=[_SUCCESS], tags={"as_of": LATE.isoformat()})
            _until(lambda: instance.get_runs(late))
            tick = instance.get_run_records(late)[-1]
            waited = (tick.start_time or 0) - tick.create_timestamp.timestamp()
            print(f"\na killed run is marked after {marked:.0f} s; the next one begins {waited:.0f} s after its tick")
            assert with_status(_FAILURE) == {cut, killed}

    assert bench.rows("SELECT DISTINCT reading_state, observed_at_utc FROM marts.account_status") == [("fresh", LATE)]
    # Nothing is missing compared with a complete request now.
    (bench.folder / "twin").mkdir()
    twin = Bench(bench.folder / "twin", bench.accounts_toml, bench.keys)
    twin.run(LATE)
    assert bench.rows(_USAGE) == twin.rows(_USAGE)


def test_a_process_is_the_one_that_began_the_run_only_if_it_was_there_then() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert _is_alive(os.getpid(), time.time())
    assert not _is_alive(ended.pid, time.time())
    if Path("/proc/stat").exists():
        # After a power failure another process may have its id.
        assert not _is_alive(os.getpid(), time.time() - 30 * 86400)
