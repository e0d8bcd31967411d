"""Killed at any instant, a run leaves nothing torn: the next one equals a run that was never disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline.sandbox import Sandbox
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW

FACTS = (
    "SELECT account_id, entry_id, effective_at_utc, entry_amount, entry_kind FROM core.ledger_entries ORDER BY ALL",
    "SELECT account_id, usage_date, credits_amount, is_partial FROM core.usage_days ORDER BY ALL",
    "SELECT * FROM core.spend_daily ORDER BY ALL",
    "SELECT * FROM marts.spend_monthly ORDER BY ALL",
    "SELECT * EXCLUDE (fetch_id) FROM marts.account_status ORDER BY ALL",
)
KILLS = int(os.environ.get("DRAWDOWN_TEST_KILLS", "3"))


class _Reader(threading.Thread):
    """Opens what is published again and again, as a dashboard does; every build it sees must be whole."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(daemon=True)
        self.bench, self.opened, self.errors, self.is_done = bench, 0, [], threading.Event()

    def run(self) -> None:
        while not self.is_done.wait(0.02):
            try:
                with duckdb.connect(self.bench.home.current.resolve(), read_only=True) as connection:
                    accounts = connection.execute("SELECT count(*) FROM marts.account_status").fetchall()
                    tables = connection.execute(
                        "SELECT count(DISTINCT table_name) FROM marts.data_dictionary"
                    ).fetchall()
                    assert accounts == [(5,)]
                    assert tables[0][0] > 10
                self.opened += 1
            except Exception as problem:
                self.errors.append(repr(problem))


@pytest.mark.fault(31)
def test_a_run_killed_at_random_instants_and_run_again_equals_an_undisturbed_one(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox, tmp_path: Path
) -> None:
    first_run(bench)
    # The twin asks at the same times of the same world: what its balances prove of the ledger is proven for both.
    (tmp_path / "twin").mkdir()
    twin = Bench(tmp_path / "twin", bench.accounts_toml, bench.keys)
    first_run(twin)
    reader = _Reader(bench)
    reader.start()
    instants = random.Random(11)  # noqa: S311 - repeatable, not secret
    started = time.monotonic()
    assert bench.command("run", "--as-of", NOW.isoformat()).returncode == 0
    whole = time.monotonic() - started
    for kill in range(KILLS):
        at = NOW + timedelta(hours=kill + 1)
        sandbox.move_clock(at)
        process = subprocess.Popen(
            [sys.executable, "-c", "from pipeline.cli import main; main()", "run", "--as-of", at.isoformat()],
            env={**os.environ, **bench.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # Most of a run's time is spent starting; what is worth killing comes after that.
        time.sleep(instants.uniform(0.35, 1.0) * whole)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    end = NOW + timedelta(hours=KILLS + 1)
    sandbox.move_clock(end)
    # Not in this process, where the reader has the build open with other settings.
    assert bench.command("run", "--as-of", end.isoformat()).returncode == 0
    reader.is_done.set()
    reader.join(timeout=10)

    assert reader.errors == []
    assert reader.opened > KILLS
    disturbed = bench.tables()
    twin.run(end)
    for query in FACTS:
        assert bench.rows(query) == twin.rows(query)
    # And landing alone makes the same again: whatever the kills tore would be missing or double.
    bench.home.warehouse.unlink()
    assert bench.command("rebuild").returncode == 0
    assert bench.tables() == disturbed
    print(f"{KILLS} kills, {reader.opened} reads, {len(reader.errors)} reader errors")
