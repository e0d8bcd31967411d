"""Killed at any instant, a run leaves nothing torn: the next one equals a run that was never disturbed."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline import sandbox as sandboxes
from pipeline.sandbox import Sandbox
from tests.bench import Bench
from tests.faults.aftermath import check
from tests.faults.forks import Forks

NOW = datetime(2026, 10, 7, 9, 0, tzinfo=UTC)
FACTS = (
    "SELECT account_id, entry_id, effective_at_utc, entry_amount, entry_kind FROM core.ledger_entries ORDER BY ALL",
    "SELECT account_id, usage_date, credits_amount, is_partial FROM core.usage_days ORDER BY ALL",
    "SELECT * FROM core.spend_daily ORDER BY ALL",
    "SELECT * FROM marts.spend_monthly ORDER BY ALL",
    "SELECT * EXCLUDE (fetch_id) FROM marts.account_status ORDER BY ALL",
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with sandboxes.start(seed=3, days=60, now=NOW, vendors=["vpsbg", "voxpria"]) as world:
        yield world


@pytest.fixture
def bench(tmp_path: Path, sandbox: Sandbox) -> Bench:
    sandbox.move_clock(NOW)
    return Bench(tmp_path, sandbox.accounts_toml(), sandbox.keys)


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """Fifty where the faults are what is asked for, else a few: each costs half a run."""
    fallback = 50 if "faults" in request.config.option.markexpr else 8
    return int(os.environ.get("DRAWDOWN_TEST_KILLS", fallback))


class _Reader(threading.Thread):
    """Opens what is published again and again, as a dashboard does; every build it sees must be whole."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(daemon=True)
        self.bench, self.opened, self.errors, self.is_done = bench, 0, [], threading.Event()

    def run(self) -> None:
        while not self.is_done.wait(0.1):
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


@pytest.mark.faults(31)
def test_a_run_killed_at_random_instants_and_run_again_equals_an_undisturbed_one(
    bench: Bench, sandbox: Sandbox, tmp_path: Path, kills: int
) -> None:
    # The twin asks at the same times of the same world: what its balances prove of the ledger is proven for both.
    (tmp_path / "twin").mkdir()
    twin = Bench(tmp_path / "twin", bench.accounts_toml, bench.keys)
    instants = random.Random(11)  # noqa: S311 - repeatable, not secret
    reader = _Reader(bench)
    died = 0
    with Forks(bench.environment) as forks:
        forks.start(NOW.isoformat())
        assert forks.end() == 0
        twin.run(NOW)
        reader.start()
        started = time.monotonic()
        forks.start(NOW.isoformat())
        assert forks.end() == 0
        whole = time.monotonic() - started
        at = NOW
        for kill in range(kills):
            at += timedelta(minutes=10)
            sandbox.move_clock(at)
            process = forks.start(at.isoformat())
            time.sleep(instants.uniform(0, whole))
            os.kill(process, signal.SIGKILL)
            died += forks.end() == -signal.SIGKILL
            if kill % 10 == 9:
                check(bench.home)
    at += timedelta(minutes=10)
    sandbox.move_clock(at)
    assert bench.run(at).is_ok
    reader.is_done.set()
    reader.join(timeout=30)

    assert reader.errors == []
    assert reader.opened > 0
    # One or another may have been quicker than its killer.
    assert died > kills / 2
    disturbed = bench.tables()
    twin.run(at)
    for query in FACTS:
        assert bench.rows(query) == twin.rows(query)
    # And landing alone makes the same again: whatever the kills tore would be missing or double.
    bench.home.warehouse.unlink()
    assert bench.command("rebuild").returncode == 0
    assert bench.tables() == disturbed
    print(f"{kills} kills, {died} in mid-run, {reader.opened} reads, {len(reader.errors)} reader errors")


@pytest.mark.faults(32)
def test_a_commit_that_nobody_was_told_of_is_there_and_running_again_changes_nothing(
    bench: Bench, sandbox: Sandbox, tmp_path: Path
) -> None:
    layers = "group:landing or group:staging"
    counts = "SELECT (SELECT count(*) FROM staging.fetches), (SELECT sum(accepted_rows) FROM staging.loads)"

    def counted() -> list[tuple[int, int]]:
        with duckdb.connect(bench.home.warehouse) as connection:
            return connection.execute(counts).fetchall()

    with Forks(bench.environment) as forks:
        forks.start(NOW.isoformat(), selection=layers, dies_after_commit=1)
        assert forks.end() == -signal.SIGKILL
        durable = counted()
        assert durable[0][0] > 0
        forks.start(NOW.isoformat(), selection="group:staging")
        assert forks.end() == 0
    assert counted() == durable
