"""Landing's files: complete or absent, never changed, one row a fetch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.landing import store
from pipeline.landing.compact import compact
from pipeline.landing.store import Fetch, LandingWriter
from pipeline.support.errors import DrawdownError
from tests.staging.landed import NOW, Landing, Workshop, write

_TODAY = NOW.date()
_ROOT = Path(__file__).parents[2]


def _rows(landing: Path) -> list[dict[str, Any]]:
    return [row for path in store.iterate(landing) for row in store.read(path).to_pylist()]


def _fetches(number: int, **more: Any) -> list[Fetch]:
    made = Landing(Path("nowhere"))
    return [made.fetch("vpsbg", "balance", {"balance": each}, **more) for each in range(number)]


def test_one_run_makes_one_file_an_endpoint_with_a_row_a_fetch(tmp_path: Path) -> None:
    made = Landing(tmp_path)
    fetches = [
        made.fetch("vpsbg", endpoint, {"at": endpoint}, account_id=account_id, run_id="run-1")
        for endpoint in ("balance", "transactions")
        for account_id in ("one", "two", "three")
    ]
    paths = write(fetches, tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        f"vpsbg/balance/2026/03/18/{1:016x}.parquet",
        f"vpsbg/transactions/2026/03/18/{4:016x}.parquet",
    ]
    assert [store.read(path).num_rows for path in paths] == [3, 3]


def test_a_row_contains_the_exact_bytes_and_their_hash(tmp_path: Path) -> None:
    bodies = [b"", b'{"balance": 1.10}', b"\x00\xff\xfe", "é\r\n".encode(), b"x" * 1_000_000]
    made = Landing(tmp_path)
    for body in bodies:
        made.answer("vpsbg", "balance", body)
    rows = _rows(tmp_path)
    assert [row["body"] for row in rows] == bodies
    assert [row["body_sha256"] for row in rows] == [sha256(body).hexdigest() for body in bodies]
    assert all(row["fetched_at_utc"] == NOW for row in rows)


@pytest.mark.faults(30)
def test_a_b_a_is_three_rows(tmp_path: Path) -> None:
    made = Landing(tmp_path)
    for amount in (7, 8, 7):
        made.answer("vpsbg", "balance", {"balance": amount})
    bodies = [row["body"] for row in _rows(tmp_path)]
    assert len(bodies) == 3
    assert bodies[0] == bodies[2] != bodies[1]


def test_files_and_folders_are_the_owners_alone(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        path = write(_fetches(1), tmp_path / "landing")[0]
    finally:
        os.umask(previous)
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in path.relative_to(tmp_path).parents:
        if folder.parts:
            assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700, folder


def test_nothing_is_seen_before_close_and_nothing_stays_after_abandon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_ROW_GROUP_BYTES", 1)
    writer = LandingWriter(tmp_path, "vpsbg", "balance", _TODAY)
    for fetch in _fetches(3):
        writer.add(fetch)
    assert list(store.iterate(tmp_path)) == []
    assert len(list(writer.folder.iterdir())) == 1
    writer.abandon()
    assert list(writer.folder.iterdir()) == []
    assert writer.close() is None


def test_a_writer_without_a_fetch_leaves_no_trace(tmp_path: Path) -> None:
    assert LandingWriter(tmp_path, "vpsbg", "balance", _TODAY).close() is None
    assert list(tmp_path.iterdir()) == []


def test_bodies_beyond_a_row_group_are_one_file_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_ROW_GROUP_BYTES", 200)
    fetches = [replace(fetch, body=b"x" * 90) for fetch in _fetches(10, run_id="run-1")]
    [path] = write(fetches, tmp_path)
    assert pq.ParquetFile(path).num_row_groups > 1
    assert [row["fetch_id"] for row in _rows(tmp_path)] == [fetch.fetch_id for fetch in fetches]


_KILLED = """
import sys, time
from datetime import date
from pathlib import Path
from pipeline.support.errors import DrawdownError
from pipeline.landing import store
from tests.staging.landed import Landing
store._ROW_GROUP_BYTES = 1
made = Landing(Path("nowhere"))
writer = store.LandingWriter(Path(sys.argv[1]), "vpsbg", "balance", date(2026, 3, 18))
for number in range(5):
    writer.add(made.fetch("vpsbg", "balance", {"balance": number}))
if sys.argv[2] == "settling":
    # Written and synced, and not yet under its name.
    store.os.link = lambda *_: (print("ready", flush=True), time.sleep(60))
    writer.close()
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.faults(31)
@pytest.mark.parametrize("moment", ["writing", "settling"])
def test_a_kill_in_the_middle_leaves_no_visible_file_and_does_no_harm(tmp_path: Path, moment: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(tmp_path), moment], stdout=subprocess.PIPE, cwd=_ROOT, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert list(store.iterate(tmp_path)) == []
    [folder] = store.day_folders(tmp_path)
    [leftover] = folder.iterdir()
    # The next run lands beside it; a compaction removes it once no run can still be writing it.
    Landing(tmp_path).answer("vpsbg", "balance", {"balance": 1})
    assert len(_rows(tmp_path)) == 1
    compact(tmp_path, _TODAY + timedelta(days=1))
    assert leftover.exists()
    os.utime(leftover, (0, 0))
    compact(tmp_path, _TODAY + timedelta(days=1))
    assert not leftover.exists()
    assert len(_rows(tmp_path)) == 1


def _resume(account_id: str, state: str | None, fetch_id: int, day: int = 0) -> Fetch:
    made = Landing(Path("nowhere"), ids=count(fetch_id))
    return made.fetch("vpsbg", "balance", {}, account_id=account_id, at=NOW + timedelta(days=day), resume_json=state)


def _states(landing: Path, *accounts: str) -> dict[str, str]:
    return store.resume_states(landing, "vpsbg", "balance", accounts)


def test_each_account_resumes_from_its_newest_state(tmp_path: Path) -> None:
    write([_resume("one", "a", 1), _resume("two", "b", 2)], tmp_path)
    write([_resume("one", "c", 3, day=1)], tmp_path)
    write([_resume("one", "d", 4, day=1), _resume("three", None, 5, day=1)], tmp_path)
    assert _states(tmp_path, "one", "two", "three", "four") == {"one": "d", "two": "b"}
    assert _states(tmp_path) == {}
    assert store.resume_states(tmp_path, "vpsbg", "transactions", ["one"]) == {}


@pytest.mark.faults(38)
@pytest.mark.parametrize("days_ahead", [1, 365])
def test_a_state_of_a_run_whose_clock_was_ahead_does_not_count(tmp_path: Path, days_ahead: int) -> None:
    write([_resume("one", "right", 1), _resume("two", None, 2)], tmp_path)
    # Ahead within the day, too: the same folder.
    write([_resume("one", "ahead", 3, day=days_ahead), _resume("two", "ahead", 4, day=days_ahead)], tmp_path)
    accounts = ("one", "two", "three")
    assert store.resume_states(tmp_path, "vpsbg", "balance", accounts, now=NOW) == {"one": "right"}
    late = NOW + timedelta(days=days_ahead)
    assert store.resume_states(tmp_path, "vpsbg", "balance", accounts, now=late) == {"one": "ahead", "two": "ahead"}
    just_before = late - timedelta(microseconds=1)
    assert store.resume_states(tmp_path, "vpsbg", "balance", accounts, now=just_before) == {"one": "right"}


def test_a_renamed_account_resumes_from_its_newest_former_state_and_then_from_its_own(tmp_path: Path) -> None:
    write([_resume("first", "a", 1), _resume("second", "b", 2)], tmp_path)
    write([_resume("first", "c", 3, day=1), _resume("other", "d", 4, day=1)], tmp_path)
    formerly = {"now": ["second", "first"], "other": ["first"], "new": ["never"]}

    def states(*accounts: str) -> dict[str, str]:
        return store.resume_states(tmp_path, "vpsbg", "balance", accounts, formerly=formerly)

    assert states("now", "other", "new") == {"now": "c", "other": "d"}
    assert store.resume_states(tmp_path, "vpsbg", "balance", ["now"], now=NOW, formerly=formerly) == {"now": "b"}
    # Once it was fetched under its own name, only that counts, also without a resume state.
    write([_resume("now", None, 5, day=2)], tmp_path)
    assert states("now") == {}
    write([_resume("now", "e", 6, day=2), _resume("first", "f", 7, day=3)], tmp_path)
    assert states("now") == {"now": "e"}


def test_a_state_is_found_in_a_merged_file_and_next_to_it(tmp_path: Path) -> None:
    for number in range(1, 6):
        write([_resume("one", f"state-{number}", number)], tmp_path)
    compact(tmp_path, _TODAY + timedelta(days=1))
    assert _states(tmp_path, "one") == {"one": "state-5"}
    write([_resume("one", "state-6", 6)], tmp_path)
    assert _states(tmp_path, "one") == {"one": "state-6"}
    compact(tmp_path, _TODAY + timedelta(days=1))
    assert len(list(store.iterate(tmp_path))) == 1
    assert _states(tmp_path, "one") == {"one": "state-6"}


def _older(path: Path, *missing: str) -> None:
    """Rewrite a file as a version without these columns would have written it."""
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(list(missing)), path)


def test_a_file_without_later_columns_is_read_and_they_are_null(tmp_path: Path) -> None:
    [path] = write(_fetches(2, run_id="run-1"), tmp_path)
    _older(path, "is_redacted", "resume_json", "version_id")
    table = store.read(path)
    assert table.schema.equals(store.SCHEMA)
    assert table.column("resume_json").to_pylist() == [None, None]
    assert _states(tmp_path, "main") == {}
    write(_fetches(1, fetch_id=f"{9:016x}"), tmp_path)
    compact(tmp_path, _TODAY + timedelta(days=1))
    assert len(_rows(tmp_path)) == 3


def test_an_older_file_loads_together_with_a_newer_one(workshop: Workshop) -> None:
    body = {"balance": 5, "currency": "EUR"}
    workshop.landing.answer("vpsbg", "balance", body)
    [path] = store.iterate(workshop.home.landing)
    _older(path, "resume_json", "is_redacted")
    workshop.landing.answer("vpsbg", "balance", body, at=NOW + timedelta(hours=1))
    assert workshop.load().accepted == 2


def test_a_damaged_file_is_reported_and_not_skipped(workshop: Workshop) -> None:
    workshop.landing.answer("vpsbg", "balance", {"balance": 5, "currency": "EUR"})
    [path] = store.iterate(workshop.home.landing)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DrawdownError, match=rf"{path} is damaged: .*from a backup"):
        workshop.load()


def test_among_many_files_the_one_that_is_not_whole_is_named(tmp_path: Path) -> None:
    [*paths] = write(_fetches(9), tmp_path)
    paths[4].write_bytes(paths[4].read_bytes()[:-20])
    with pytest.raises(DrawdownError, match=rf"^{paths[4]} is damaged"):
        list(store.each(paths[0].parent))
    with pytest.raises(DrawdownError, match=rf"^{paths[4]} is damaged"):
        compact(tmp_path, _TODAY + timedelta(days=1))
    assert len(store.files(paths[0].parent)) == 9


def test_small_files_are_read_together_and_large_ones_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_GROUP_BYTES", 50_000)
    monkeypatch.setattr(store, "_GROUP_FILES", 4)
    sizes = [1] * 6 + [60_000, 60_000] + [1] * 2
    fetches = [replace(fetch, body=b"x" * size) for fetch, size in zip(_fetches(10), sizes, strict=True)]
    [folder] = {path.parent for path in write(fetches, tmp_path)}
    groups = list(store.each(folder))
    assert [table.num_rows for _, table in groups] == [4, 3, 1, 2]
    assert [path for paths, _ in groups for path in paths] == store.files(folder)
    assert [row for _, table in groups for row in table["fetch_id"].to_pylist()] == [each.fetch_id for each in fetches]


@settings(max_examples=20, deadline=None)
@given(
    where=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=12),
    twice=st.booleans(),
)
def test_compaction_keeps_every_row_byte_for_byte(where: list[tuple[int, int]], twice: bool) -> None:
    made = Landing(Path("nowhere"))
    fetches = [
        made.fetch("vpsbg", "balance", b"\x00" * number, at=NOW + timedelta(days=day), run_id=f"run-{run}")
        for number, (day, run) in enumerate(where)
    ]
    with TemporaryDirectory() as folder:
        landing = Path(folder)
        write(fetches, landing)
        before = sorted(_rows(landing), key=lambda row: row["fetch_id"])
        done = compact(landing, _TODAY + timedelta(days=2))
        if twice:
            compact(landing, _TODAY + timedelta(days=2))
        assert sorted(_rows(landing), key=lambda row: row["fetch_id"]) == before
        finished = [path for path in store.day_folders(landing) if path.name < "20"]
        assert all(len(store.files(path)) == 1 for path in finished)
        assert done.files_before >= done.files_after


def test_a_day_that_is_not_over_is_left_alone(tmp_path: Path) -> None:
    write(_fetches(3), tmp_path)
    assert compact(tmp_path, _TODAY).files_after == 3
    assert compact(tmp_path, _TODAY + timedelta(days=1)).files_after == 1


def test_readers_miss_no_row_while_two_compactions_run(tmp_path: Path) -> None:
    fetches = _fetches(60)
    [folder] = {path.parent for path in write(fetches, tmp_path)}
    wanted = {fetch.fetch_id for fetch in fetches}
    problems: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            found = {
                each for _, table in store.each(folder, ["fetch_id"]) for each in table.column("fetch_id").to_pylist()
            }
            if found != wanted:
                problems.append(f"{len(wanted - found)} rows were missed")

    def merge() -> None:
        try:
            compact(tmp_path, _TODAY + timedelta(days=1))
        except OSError as problem:
            problems.append(str(problem))

    reader = threading.Thread(target=read)
    reader.start()
    mergers = [threading.Thread(target=merge) for _ in range(2)]
    for merger in mergers:
        merger.start()
    for merger in mergers:
        merger.join()
    stop.set()
    reader.join()
    assert problems == []
    assert sorted(row["fetch_id"] for row in _rows(tmp_path)) == sorted(wanted)


def test_day_folders_are_sorted_oldest_first_and_other_folders_are_ignored(tmp_path: Path) -> None:
    for name in (
        "vpsbg/balance/2026/03/18",
        "vpsbg/balance/2025/12/31",
        "other/x/2026/01/01",
        "vpsbg/balance/2026/3/1",
        "lost",
    ):
        (tmp_path / name).mkdir(parents=True)
    found = [path.relative_to(tmp_path).as_posix() for path in store.day_folders(tmp_path)]
    assert found == ["vpsbg/balance/2025/12/31", "other/x/2026/01/01", "vpsbg/balance/2026/03/18"]
    assert date(2026, 3, 18) == _TODAY
