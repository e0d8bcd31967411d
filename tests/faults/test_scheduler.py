"""A run that is killed under the scheduler: Dagster's own daemon, its queue, and runs that are processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipeline import sandbox as sandboxes
from pipeline.lost_runs import _is_alive
from pipeline.sandbox import Sandbox
from pipeline.warehouse import Warehouse
from tests.bench import Bench

CLONE = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)
# Far beyond what any of it takes on a machine that has nothing else to do.
_PATIENCE_SECONDS = 300


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with sandboxes.start(seed=3, days=30, now=NOW, vendors=["deepvue"]) as world:
        yield world


@pytest.fixture
def bench(tmp_path: Path, sandbox: Sandbox) -> Bench:
    made = Bench(tmp_path, sandbox.accounts_toml(), sandbox.keys)
    assert made.command("init", "--dagster", DAGSTER_HOME=str(made.home.dagster)).returncode == 0
    return made


@contextmanager
def _process(bench: Bench, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        cwd=CLONE,
        env={**os.environ, **bench.environment, "DAGSTER_HOME": str(bench.home.dagster)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.5)


@pytest.mark.faults(45)
def test_a_run_whose_processes_were_all_killed_frees_the_lock_and_does_not_hold_up_the_next(
    bench: Bench, sandbox: Sandbox
) -> None:
    with dg.DagsterInstance.from_config(str(bench.home.dagster)) as instance:

        def runs() -> dict[str, dg.DagsterRunStatus]:
            return {run.run_id: run.status for run in instance.get_runs()}

        sandbox.put_fault("hang")
        with _process(bench, str(BIN / "drawdown"), "run", "--as-of", NOW.isoformat()):
            _until(lambda: sandbox.requests())
        [(killed, status)] = runs().items()
        assert status is dg.DagsterRunStatus.STARTED, "Dagster cannot know that the process is gone"
        warehouse = Warehouse(bench.home, wait_seconds=1)
        assert warehouse.connection
        warehouse.close()
        sandbox.clear_faults()
        sandbox.move_clock(NOW + timedelta(hours=1))
        as_of = {"resources": {"clock": {"config": {"as_of": sandbox.now.isoformat()}}}}
        workspace = ["-w", str(CLONE / "workspace.yaml")]
        launch = [str(BIN / "dagster"), "job", "launch", *workspace, "-j", "refresh_balances"]
        with (
            _process(bench, str(BIN / "dagster-daemon"), "run", *workspace),
            _process(bench, *launch, "--config-json", json.dumps(as_of)),
        ):
            _until(lambda: len(runs()) == 2)
            _until(lambda: all(status in (_SUCCESS, _FAILURE) for status in runs().values()))
        outcome = runs()
        assert outcome.pop(killed) is _FAILURE
        assert list(outcome.values()) == [_SUCCESS]
    assert bench.rows("SELECT reading_state FROM marts.account_status") == [("fresh",)]


_SUCCESS, _FAILURE = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE


def test_a_process_is_the_one_that_began_the_run_only_if_it_was_there_then() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert _is_alive(os.getpid(), time.time())
    assert not _is_alive(ended.pid, time.time())
    if Path("/proc/stat").exists():
        # After a power cut another process may have its number.
        assert not _is_alive(os.getpid(), time.time() - 30 * 86400)
