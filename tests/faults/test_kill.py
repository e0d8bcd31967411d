"""Killed at any instant, Drawdown leaves nothing torn: the next run equals an undisturbed one.

DRAWDOWN_TEST_KILLS sets the number of kills; the phases alternate.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipeline.cli.checksum import checksums
from pipeline.models.unpublished import published_build
from pipeline.published.snapshot import write_build
from pipeline.schema.tables import published
from pipeline.support.home import build_id
from pipeline.warehouse.writer import Warehouse
from tests import sandbox_faults as sandboxes
from tests.bench import Bench
from tests.faults.aftermath import check
from tests.faults.forks import Forks
from tests.faults.kills import PHASES, Killer
from tests.readers import Readers
from tests.sandbox_faults import Sandbox

pytestmark = pytest.mark.long

NOW = datetime(2026, 10, 7, 6, 0, tzinfo=UTC)
DAY = timedelta(hours=17)
"""All kills of a test happen within this part of one day of the world, so that the twin, which runs less often, misses
no day."""
FACTS = (
    "SELECT account_id, entry_id, effective_at_utc, entry_amount, entry_kind FROM core.ledger_entries ORDER BY ALL",
    "SELECT account_id, usage_date, credits_amount, is_partial FROM core.usage_days ORDER BY ALL",
    "SELECT * FROM core.spend_daily ORDER BY ALL",
    "SELECT * FROM marts.spend_monthly ORDER BY ALL",
    "SELECT * EXCLUDE (fetch_id) FROM marts.account_status ORDER BY ALL",
)
_RERUN_EVERY = 20
_ALL_PHASES_FROM = 50
"""From this number of kills on, each phase must have been hit."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with sandboxes.start(seed=3, days=60, now=NOW, vendors=["vpsbg", "voxpria"]) as world:
        # Vendors answer slowly: otherwise landing would be over before it could be killed.
        world.put_fault("slow", seconds=0.1)
        yield world


@pytest.fixture
def bench(tmp_path: Path, sandbox: Sandbox) -> Bench:
    sandbox.move_clock(NOW)
    return Bench(tmp_path, sandbox.accounts_toml(), sandbox.keys)


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """Fifty when the faults are selected, otherwise a few."""
    fallback = 50 if "faults" in request.config.option.markexpr else 3
    return int(os.environ.get("DRAWDOWN_TEST_KILLS", fallback))


@pytest.mark.faults(31)
def test_killed_at_random_instants_and_run_again_it_equals_an_undisturbed_twin(
    bench: Bench, sandbox: Sandbox, tmp_path: Path, kills: int
) -> None:
    (tmp_path / "twin").mkdir()
    twin = Bench(tmp_path / "twin", bench.accounts_toml, bench.keys)
    hits: Counter[str] = Counter()
    reruns = 0
    started = time.monotonic()
    with Forks(bench.environment) as forks, Forks(twin.environment) as twins:
        killer = Killer(bench, sandbox, forks, random.Random(11))  # noqa: S311 - repeatable, not secret
        killer.watch(NOW)
        shutil.copytree(bench.home.path, twin.home.path, symlinks=True)
        with Readers(bench.home, per_second=5) as readers:
            for kill in range(1, kills + 1):
                at = NOW + DAY * kill / (kills + 1)
                sandbox.move_clock(at)
                hits[killer.kill(PHASES[(kill - 1) % len(PHASES)], at)] += 1
                if kill % _RERUN_EVERY and kill < kills:
                    continue
                check(bench.home, bench.keys.values())
                forks.start(at.isoformat())
                twins.start(at.isoformat())
                assert (forks.end(), twins.end()) == (0, 0)
                reruns += 1
                for query in FACTS:
                    assert bench.rows(query) == twin.rows(query), f"after {kill} kills: {query}"
        # A rebuild from landing gives the same: anything torn by the kills would be missing or doubled.
        disturbed = bench.tables()
        forks.start(at.isoformat(), job="rebuild")
        assert forks.end() == 0
        assert bench.tables() == disturbed
    where = ", ".join(f"{name} {count}" for name, count in sorted(hits.items()))
    print(
        f"\nsoak: kills: {kills} ({where}); {reruns} reruns equal an undisturbed twin's; {readers.reads} reads, "
        f"{len(readers.errors)} reader errors; {time.monotonic() - started:.0f} s"
    )
    assert readers.errors == []
    assert readers.reads > kills
    # Some may have finished before the kill: of a few, on a busy machine, most.
    assert sum(hits[phase] for phase in PHASES) > (kills / 2 if kills >= _ALL_PHASES_FROM else 0)
    assert kills < _ALL_PHASES_FROM or all(hits[phase] for phase in PHASES)
    assert not list(bench.home.path.glob("warehouse.rebuilding*"))


@pytest.mark.faults(31)
def test_killed_while_a_build_is_updated_readers_have_a_whole_one(bench: Bench, sandbox: Sandbox, kills: int) -> None:
    hits: Counter[str] = Counter()
    updated = 0
    with Forks(bench.environment) as forks:
        killer = Killer(bench, sandbox, forks, random.Random(5))  # noqa: S311 - repeatable, not secret
        killer.watch(NOW)
        for kill in range(1, kills + 1):
            at = NOW + DAY * kill / (kills + 1)
            sandbox.move_clock(at)
            before = build_id(bench.home.current)
            # The record of the build before is what the update begins with.
            updated += _recorded_build(bench) == before
            hits[killer.kill("publish", at)] += 1
            check(bench.home, bench.keys.values())
            if build_id(bench.home.current) != before:
                _equals_a_whole_one(bench)
            forks.start(at.isoformat())
            assert forks.end() == 0
            _equals_a_whole_one(bench)
    print(
        f"\nsoak: {kills} kills while publishing ({hits['publish']} hit it), {updated} of updates; every build was whole"
    )
    assert updated == kills
    # Some may have finished before the kill.
    assert kills < _ALL_PHASES_FROM or hits["publish"] > kills / 4


def _recorded_build(bench: Bench) -> str | None:
    with duckdb.connect(bench.home.warehouse) as connection:
        return published_build(connection)


def _equals_a_whole_one(bench: Bench) -> None:
    """Compare the current build with one written whole from the same warehouse."""
    whole = bench.folder / "whole.duckdb"
    whole.unlink(missing_ok=True)
    warehouse = Warehouse(bench.home)
    try:
        write_build(warehouse.connection, whole, published())
    finally:
        warehouse.close()
    assert checksums(bench.home.current) == checksums(whole)


@pytest.mark.faults(32)
def test_an_unacknowledged_commit_is_kept_and_running_again_changes_nothing(
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
