"""Two compactions at once: one waits for the other, and whatever they do to each other, no answer is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.landing import store
from pipeline.landing.compact import LOCK, compact
from pipeline.support.errors import DrawdownError
from tests.staging.landed import NOW, Landing, Workshop

_ROOT = Path(__file__).parents[2]
_TOMORROW = NOW.date() + timedelta(days=1)

_PAUSED = """
import sys
from datetime import date
from pathlib import Path
import pyarrow.parquet as pq
from pipeline.landing.compact import compact

write = pq.write_table

def paused(*given, **more):
    # All files of the day have been read, and nothing is written yet.
    print("read", flush=True)
    sys.stdin.readline()
    return write(*given, **more)

pq.write_table = paused
compact(Path(sys.argv[1]), date.fromisoformat(sys.argv[2]))
"""


@contextmanager
def _paused(landing: Path) -> Iterator[subprocess.Popen[str]]:
    """A compaction in another process that has read a day's files and waits for a line before it continues."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PAUSED, str(landing), str(_TOMORROW)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT,
    )  # fmt: skip
    try:
        assert process.stdout
        assert process.stdout.readline() == "read\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def _go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(30) == 0


def _landed(landing: Path) -> set[str]:
    return {each for path in store.iterate(landing) for each in store.read(path)["fetch_id"].to_pylist()}


def _three(workshop: Workshop) -> tuple[Path, set[str]]:
    landing = workshop.landing
    return workshop.home.landing, {landing.answer("vpsbg", "balance", {"balance": each}) for each in range(3)}


@pytest.mark.faults(53)
def test_a_second_compaction_waits_and_then_names_the_first(workshop: Workshop) -> None:
    landing, answers = _three(workshop)
    with _paused(landing) as first:
        with pytest.raises(DrawdownError, match=f"process {first.pid}"):
            compact(landing, _TOMORROW, wait_seconds=0.2)
        assert len(list(store.iterate(landing))) == 3
        _go_on(first)
    assert len(list(store.iterate(landing))) == 1
    assert _landed(landing) == answers
    assert compact(landing, _TOMORROW).files_after == 1


@pytest.mark.faults(53)
def test_the_death_of_a_compaction_lets_the_next_one_go_ahead(workshop: Workshop) -> None:
    landing, answers = _three(workshop)
    with _paused(landing) as first:
        first.kill()
        first.wait()
        assert compact(landing, _TOMORROW, wait_seconds=0.2).files_after == 1
    assert _landed(landing) == answers


@pytest.mark.faults(53)
def test_two_compactions_that_overlap_without_the_lock_lose_no_answer(workshop: Workshop) -> None:
    landing, answers = _three(workshop)
    with _paused(landing) as first:
        # If locks do not reach the other one, as on a network file system.
        (landing / LOCK).unlink(missing_ok=True)
        compact(landing, _TOMORROW)
        answers.add(workshop.landing.answer("vpsbg", "balance", {"balance": "late"}))
        compact(landing, _TOMORROW)
        # The first one has read older files than those there now.
        _go_on(first)
    assert _landed(landing) == answers
    compact(landing, _TOMORROW)
    assert len(list(store.iterate(landing))) == 1
    assert _landed(landing) == answers


def test_a_merged_file_is_never_replaced(workshop: Workshop) -> None:
    landing, answers = _three(workshop)
    compact(landing, _TOMORROW)
    [merged] = store.iterate(landing)
    before = merged.read_bytes()
    answers.add(workshop.landing.answer("vpsbg", "balance", {"balance": "late"}))
    kept = landing.parent / "kept"
    os.link(merged, kept)
    compact(landing, _TOMORROW)
    [again] = store.iterate(landing)
    assert again.name != merged.name
    assert kept.read_bytes() == before
    assert _landed(landing) == answers


def test_an_answer_never_replaces_another_file(tmp_path: Path) -> None:
    made = Landing(tmp_path)
    made.answer("vpsbg", "balance", {"balance": 1}, fetch_id=f"{7:016x}")
    with pytest.raises(FileExistsError):
        made.answer("vpsbg", "balance", {"balance": 2}, fetch_id=f"{7:016x}")
    [path] = store.iterate(tmp_path)
    assert store.read(path)["body"].to_pylist() == [b'{"balance": 1}']
