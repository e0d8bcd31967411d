"""Killed at any instant, whatever it is doing, Drawdown leaves nothing torn: the end equals an undisturbed twin's.

DRAWDOWN_TEST_KILLS sets how many times; the phases take turns.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.sandbox import Sandbox
from tests.bench import Bench, FirstRun
from tests.e2e.conftest import NOW
from tests.readers import Readers

FACTS = (
    "SELECT account_id, entry_id, effective_at_utc, entry_amount, entry_kind FROM core.ledger_entries ORDER BY ALL",
    "SELECT account_id, usage_date, credits_amount, is_partial FROM core.usage_days ORDER BY ALL",
    "SELECT * FROM core.spend_daily ORDER BY ALL",
    "SELECT * FROM marts.spend_monthly ORDER BY ALL",
    "SELECT * EXCLUDE (fetch_id) FROM marts.account_status ORDER BY ALL",
)
KILLS = int(os.environ.get("DRAWDOWN_TEST_KILLS", "7"))
_EVERY = 50
"""From so many kills on, each phase must have been hit."""


@dataclass(frozen=True)
class Phase:
    """Something that Drawdown is in the middle of."""

    name: str
    command: str
    begins: str
    """A pattern of the line on stderr after which it is under way; empty: from the start on."""
    ends: str
    """A pattern of the line that says that it is over."""
    share: float
    """The longest wait after the line, as a share of an undisturbed run's seconds."""


PHASES = (
    Phase("landing", "run", r"", r": \w+ ok, ", 0.5),
    Phase("staging", "run", r": \w+ ok, ", r"^staging: ", 0.1),
    Phase("core", "run", r"^staging: ", r"^forecasts: ", 0.1),
    Phase("forecasts", "run", r"^core\.(vendor_claims|auto_topups): ", r"^forecasts: ", 0.1),
    Phase("publish", "run", r"^marts\.(build_info|data_dictionary): ", r"^no such line", 0.05),
    Phase("compaction", "compact", r"", r"^no such line", 0.1),
    Phase("rebuild", "rebuild", r"^staging: ", r"^published: ", 0.4),
)


def _kill(bench: Bench, phase: Phase, at: datetime, wait: float) -> str:
    """Start what the phase is part of, kill it in there, and return what it was in the middle of."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pipeline.cli", phase.command, *_as_of(phase, at)],
        env={**os.environ, **bench.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    heard = ""
    if phase.begins:
        for line in process.stderr:
            heard += line.decode()
            if re.search(phase.begins, line.decode()):
                break
    time.sleep(wait)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    heard += process.stderr.read().decode()
    process.stderr.close()
    if process.wait() != -signal.SIGKILL:
        return "nothing: it was over"
    ended = re.search(phase.ends, heard, re.MULTILINE)
    return f"after {phase.name}" if ended else phase.name


def _as_of(phase: Phase, at: datetime) -> list[str]:
    return ["--as-of", at.isoformat()] if phase.command == "run" else []


@pytest.mark.fault(31)
def test_killed_at_random_instants_and_run_again_it_equals_an_undisturbed_twin(
    bench: Bench, first_run: FirstRun, sandbox: Sandbox, tmp_path: Path
) -> None:
    first_run(bench)
    # The twin asks at the same times of the same world: what its balances prove of the ledger is proven for both.
    (tmp_path / "twin").mkdir()
    twin = Bench(tmp_path / "twin", bench.accounts_toml, bench.keys)
    first_run(twin)
    instants = random.Random(11)  # noqa: S311 - repeatable, not secret
    hits: Counter[str] = Counter()
    with Readers(bench.home) as readers:
        started = time.monotonic()
        assert bench.command("run", "--as-of", NOW.isoformat()).returncode == 0
        whole = time.monotonic() - started
        for kill in range(KILLS):
            phase = PHASES[kill % len(PHASES)]
            at = NOW + timedelta(hours=kill + 1)
            sandbox.move_clock(at)
            hits[_kill(bench, phase, at, instants.uniform(0, phase.share) * whole)] += 1
        end = NOW + timedelta(hours=KILLS + 1)
        sandbox.move_clock(end)
        assert bench.run(end).is_ok
    in_phases = ", ".join(f"{name} {count}" for name, count in sorted(hits.items()))
    print(f"\nsoak: kills: {KILLS} ({in_phases}); {readers}")

    assert readers.errors == []
    assert readers.reads > KILLS
    assert sum(hits[phase.name] for phase in PHASES) > KILLS / 2
    assert KILLS < _EVERY or all(hits[phase.name] for phase in PHASES)
    twin.run(end)
    for query in FACTS:
        assert bench.rows(query) == twin.rows(query)
    # And landing alone makes the same again: whatever the kills tore would be missing or double.
    disturbed, sums = bench.tables(), bench.checksums()
    bench.home.warehouse.unlink()
    assert bench.command("rebuild").returncode == 0
    assert bench.tables() == disturbed
    assert bench.checksums() == sums
    assert not list(bench.home.path.glob("warehouse.rebuilding*"))
