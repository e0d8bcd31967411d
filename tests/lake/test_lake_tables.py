"""Commits of builds: what they replace, several at once, and what a killed one leaves."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.lake.build_pointers import BuildPointer, pointer_as_of, pointers, read_pointer
from pipeline.lake.lake_parts import Part
from pipeline.lake.lake_tables import Lake
from pipeline.schema.columns import Type
from pipeline.schema.tables import Table
from pipeline.support.clock import FetchIds
from pipeline.support.errors import DrawdownError, UsageError
from tests.canary import found_in, leaks, postgres_contents
from tests.lake.conftest import SECRET, TOKEN, Place, needs
from tests.lake.lake_commits import (
    DAILY,
    FEBRUARY,
    JANUARY,
    MARCH,
    TABLES,
    WHOLE,
    amounts,
    commit,
    expected,
    from_iceberg,
    rows_in,
    s3_properties,
    simple,
    stored,
)
from tests.lake.lake_rows import Row, comparable, made_table, rows_of
from tests.published.conftest import PASSWORD, Database

VARIABLE = "TEST_LAKE_CATALOG"


@pytest.fixture(autouse=True)
def _iceberg() -> None:
    needs("pyiceberg")


@pytest.fixture
def lake(place: Place) -> Lake:
    return Lake(place.url, place.folder / "state", tables=TABLES)


EVERY = [made_table("daily", by=Type.DATE), made_table("moments", by=Type.INSTANT), made_table("whole")]


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_rows_of_every_type_come_back_exactly(place: Place, data: st.DataObject) -> None:
    unique = os.urandom(6).hex()
    lake = Lake(f"{place.url}/{unique}", place.folder / unique, tables=EVERY)
    held: dict[tuple[str, int, date | None], list[Row]] = {}
    for _ in range(2):
        given: dict[tuple[str, int, date | None], list[Row]] = {}
        for table in EVERY:
            months = [JANUARY, date(1969, 12, 1), FEBRUARY] if table.published_by else [None]
            for key in [(table.full_name, shard, month) for shard in (0, 1) for month in months]:
                if data.draw(st.booleans()):
                    given[key] = data.draw(rows_of(table, key[2]))
        pointer = commit(lake, given, EVERY)
        held |= given
        read = rows_in(lake, pointer, place.folder / unique, EVERY)
        for table in EVERY:
            rows = [row for key, rows in held.items() if key[0] == table.full_name for row in rows]
            assert comparable(read[table.full_name]) == comparable(rows)
            by_iceberg = from_iceberg(pointer, table)
            assert comparable([list(row.values())[:-1] for row in by_iceberg]) == comparable(rows)
            shards = [key[1] for key, rows in held.items() if key[0] == table.full_name for _ in rows]
            assert sorted(row["shard"] for row in by_iceberg) == sorted(shards)


def test_only_the_parts_that_are_given_change(lake: Lake, place: Place) -> None:
    first = simple(1)
    before = commit(lake, first)
    given = simple(2, shards=[1], months=[FEBRUARY, MARCH])
    del given[WHOLE.full_name, 1, None]
    given[DAILY.full_name, 1, FEBRUARY] = []
    after = commit(lake, given)
    assert amounts(lake, after, place.folder) == expected(first | given)
    for name, version in after.tables.items():
        files, had = set(version.files), set(before.tables[name].files)
        assert {file.partition for file in had - files} == {key[1:] for key in given if key[0] == name and key in first}
        assert {file.partition for file in files - had} == {
            key[1:] for key, rows in given.items() if key[0] == name and rows
        }
    assert before.tables[WHOLE.full_name] == after.tables[WHOLE.full_name]
    # The build before is still what it was.
    assert amounts(lake, read_pointer(lake.store, before.build_id), place.folder) == expected(first)
    assert lake.current() == after
    assert after.previous == before.build_id


def test_every_table_is_in_a_build_also_without_rows(lake: Lake, place: Place) -> None:
    pointer = commit(lake, {})
    assert list(pointer.tables) == [table.full_name for table in TABLES]
    assert rows_in(lake, pointer, place.folder) == {table.full_name: [] for table in TABLES}
    pointer = commit(lake, {(WHOLE.full_name, 0, None): []})
    assert rows_in(lake, pointer, place.folder)[WHOLE.full_name] == []


def test_a_build_that_is_committed_again_changes_nothing(lake: Lake) -> None:
    build_id = FetchIds().draw()
    parts = stored(lake, build_id, simple(1))
    assert lake.commit(build_id, parts) == lake.commit(build_id, parts) == lake.current()
    assert [each.key for each in lake.store.list("builds")] == [f"builds/{build_id}.json"]


def test_local_files_are_stored_by_the_commit(lake: Lake, place: Place, tmp_path: Path) -> None:
    build_id = FetchIds().draw()
    local = []
    for number, part in enumerate(stored(lake, build_id, simple(1))):
        path = tmp_path / f"{number}.parquet"
        lake.store.get(lake.store.key_of(part.paths[0]), path)
        lake.store.delete(lake.store.key_of(part.paths[0]))
        local.append(Part(part.table, part.shard, part.month, (str(path),), part.rows))
    assert amounts(lake, lake.commit(build_id, local), place.folder) == expected(simple(1))


def test_iceberg_describes_the_table(lake: Lake) -> None:
    from pyiceberg.table import StaticTable

    pointer = commit(lake, simple(1))
    properties = s3_properties()
    found = StaticTable.from_metadata(pointer.tables[DAILY.full_name].metadata_location, properties)
    assert [str(field) for field in found.schema().fields] == [
        "1: account_id: required string (It's the account.)",
        "2: moment: required date (When. [UTC day])",
        "3: c0: optional decimal(27, 9) (Number 0. [things])",
        "4: shard: required int (Number of the shard of accounts that the row was computed in; 0 for rows about all accounts.)",
    ]
    assert [(field.name, str(field.transform)) for field in found.spec().fields] == [
        ("shard", "identity"),
        ("month", "month"),
    ]
    assert found.properties["comment"] == "A made-up daily. Key: account_id."


# -- refusals -----------------------------------------------------------------------------------------------------


def _wrong(part: Part, **changes: Any) -> Part:
    return Part(
        **{name: changes.get(name, getattr(part, name)) for name in ("table", "shard", "month", "paths", "rows")}
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"shard": 7}, "has rows of another shard than 7"),
        ({"month": MARCH}, "has rows of another month than 2026-03"),
        ({"rows": 5}, "have 1 rows, and 5 were written"),
        ({"table": WHOLE.full_name, "month": None}, "has the columns account_id string, moment date32"),
    ],
)
def test_a_file_that_is_not_its_part_is_refused(changes: dict[str, Any], problem: str, tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path}/storage", tmp_path / "state", tables=TABLES)
    before = commit(lake, simple(1))
    build_id = FetchIds().draw()
    [part] = stored(lake, build_id, {(DAILY.full_name, 0, JANUARY): simple(2)[DAILY.full_name, 0, JANUARY]})
    with pytest.raises(DrawdownError, match=problem):
        lake.commit(build_id, [_wrong(part, **changes)])
    assert lake.current() == before


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path}/storage", tmp_path / "state", tables=TABLES)
    build_id = FetchIds().draw()
    [part] = stored(lake, build_id, {(DAILY.full_name, 0, JANUARY): simple(2)[DAILY.full_name, 0, JANUARY]})
    path = Path(part.paths[0].removeprefix("file://"))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DrawdownError, match="is no complete Parquet file"):
        lake.commit(build_id, [part])


def test_null_where_none_may_be_is_refused(tmp_path: Path) -> None:
    may, may_not = (made_table("made", [(Type.MONEY, is_nullable)]) for is_nullable in (True, False))
    lake = Lake(f"file://{tmp_path}/storage", tmp_path / "state", tables=[may_not])
    build_id = FetchIds().draw()
    parts = stored(lake, build_id, {(may.full_name, 0, None): [("a", None)]}, [may])
    with pytest.raises(DrawdownError, match="has NULL in c0"):
        lake.commit(build_id, parts)


def test_parts_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path}/storage", tmp_path / "state", tables=TABLES)
    part = Part(DAILY.full_name, 0, JANUARY, ("/x",), 1)
    for parts, problem in (
        ([part, part], "given twice"),
        ([_wrong(part, month=None)], "is no part's month"),
        ([_wrong(part, month=date(2026, 1, 2))], "is no part's month"),
        ([_wrong(part, table="core.none")], "no published table"),
        ([_wrong(part, paths=())], "has 0 files"),
        ([_wrong(part, shard=-1)], "shard -1"),
    ):
        with pytest.raises(ValueError, match=problem):
            lake.commit(FetchIds().draw(), parts)


# -- changes of the tables ----------------------------------------------------------------------------------------


def _lake_of(place: Place, table: Table) -> Lake:
    return Lake(place.url, place.folder / "state", tables=[table])


def test_changed_columns_need_every_part_again(place: Place) -> None:
    old, new = made_table("made", [(Type.MONEY, True)]), made_table("made", [(Type.TEXT, True), (Type.DATE, True)])
    first = commit(_lake_of(place, old), {(old.full_name, shard, None): [("a", 1)] for shard in (0, 1)}, [old])
    lake = _lake_of(place, new)
    with pytest.raises(DrawdownError, match="1 of its parts were not computed again; `drawdown rebuild`"):
        commit(lake, {(new.full_name, 0, None): [("a", "x", None)]}, [new])
    rows = {(new.full_name, shard, None): [("a", "x", date(2026, 1, shard + 1))] for shard in (0, 1)}
    second = commit(lake, rows, [new])
    assert comparable(rows_in(lake, second, place.folder, [new])[new.full_name]) == comparable(
        [row for [row] in rows.values()]
    )
    assert len(from_iceberg(second, new)) == 2
    # The build before can still be read, by its own columns, and is kept with all its metadata.
    lake.remove_unneeded()
    assert len(rows_in(lake, first, place.folder, [old])[old.full_name]) == 2
    assert len(from_iceberg(first, old)) == 2
    with pytest.raises(DrawdownError, match="made by another version of Drawdown"):
        rows_in(lake, first, place.folder, [new])
    # The version before can take over again, as after a failed upgrade.
    third = commit(_lake_of(place, old), {(old.full_name, shard, None): [("b", 2)] for shard in (0, 1)}, [old])
    assert len(from_iceberg(third, old)) == 2


def test_a_changed_comment_changes_no_file(place: Place) -> None:
    old = made_table("made", [(Type.MONEY, True)])
    new = Table(
        **{name: getattr(old, name) for name in ("layer", "name", "grain", "key", "columns")}, doc="Other words."
    )
    first = commit(_lake_of(place, old), {(old.full_name, 0, None): [("a", 1)]}, [old])
    second = commit(_lake_of(place, new), {}, [new])
    assert second.tables[new.full_name].files == first.tables[old.full_name].files
    from pyiceberg.table import StaticTable

    properties = s3_properties()
    found = StaticTable.from_metadata(second.tables[new.full_name].metadata_location, properties)
    assert found.properties["comment"] == "Other words. Key: account_id."
    assert len(from_iceberg(second, new)) == 1


def test_what_another_program_did_to_a_table_is_set_back(place: Place, lake: Lake) -> None:
    first = commit(lake, simple(1))
    with lake._catalog.committing(1) as (catalog, _):
        catalog.load_table(("core", "daily")).delete()
        catalog.drop_table(("core", "moments"))
        schema = catalog.load_table(("core", "whole")).schema()
        catalog.drop_table(("core", "whole"))
        catalog.create_table(("core", "whole"), schema, location=lake.store.location("elsewhere"))
    given = simple(2, shards=[0], months=[JANUARY])
    second = commit(lake, given)
    assert amounts(lake, second, place.folder) == expected(simple(1) | given)
    for table in TABLES:
        assert len(from_iceberg(second, table)) == second.tables[table.full_name].rows
    assert amounts(lake, first, place.folder) == expected(simple(1))


# -- several at once, and kills -----------------------------------------------------------------------------------


def _process(lake_url: str, folder: Path, variable: str, what: str, number: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lake.lake_commits", lake_url, str(folder), variable, what, str(number)],
        cwd=Path(__file__).parents[2], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def _three_writers_commit(place: Place, variable: str) -> Lake:
    folder = place.folder / "state"
    lake = Lake(place.url, folder, tables=TABLES, catalog_variable=variable or None)
    commit(lake, simple(0, shards=[0, 1, 2, 3]))
    writers = [_process(place.url, folder, variable, "writer", number) for number in (1, 2, 3)]
    (folder / "go").touch()
    for number, writer in enumerate(writers):
        place.said[f"writer {number}"] = "".join(writer.communicate(timeout=300))
        assert writer.returncode == 0, place.said
    builds = list(pointers(lake.store))
    assert len(builds) == 7
    held = expected(simple(0, shards=[0, 1, 2, 3]))
    for before, pointer in zip(reversed(builds), list(reversed(builds))[1:], strict=False):
        # Each build is the one before with the parts of one writer.
        found = amounts(lake, pointer, place.folder)
        changed = {key: found[key] for key in found if found[key] != held[key]}
        assert len({key[1] for key in changed}) == 1
        [amount] = set(changed.values())
        assert changed == expected(simple(amount, shards=[amount // 10]))
        assert pointer.previous == before.build_id
        held = found
        for table in TABLES:
            assert len(from_iceberg(pointer, table)) == pointer.tables[table.full_name].rows
    assert held == {key: 10 * key[1] + 2 if key[1] else 0 for key in held}
    return lake


@pytest.mark.long
def test_three_writers_of_different_shards_all_commit(place: Place) -> None:
    _three_writers_commit(place, "")


@pytest.mark.long
def test_three_writers_commit_to_a_catalog_in_postgresql(
    place: Place, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    role = database.role("lake", f"LOGIN PASSWORD '{PASSWORD}'")
    database.rows(f"GRANT CREATE ON DATABASE {database.name} TO {role}")
    database.rows(f"GRANT CREATE, USAGE ON SCHEMA public TO {role}")
    monkeypatch.setenv(VARIABLE, database.dsn_of(role, PASSWORD))
    with caplog.at_level(logging.DEBUG):
        lake = _three_writers_commit(place, VARIABLE)
        lake.remove_unneeded()
    assert leaks([PASSWORD, SECRET, TOKEN], place.folder, said={**place.said, "log": caplog.text}) == []
    assert found_in(((each.key, lake.store.read(each.key)) for each in lake.store.list()), [PASSWORD]) == []
    connection = database.connect()
    assert found_in(postgres_contents(connection), [PASSWORD, SECRET, TOKEN]) == []
    connection.close()
    assert not (place.folder / "state/iceberg.sqlite").exists()


def test_a_commit_names_who_commits_already(tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path}/storage", tmp_path / "state", tables=TABLES)
    with lake._catalog.committing(1), pytest.raises(DrawdownError, match=rf"being written by process {os.getpid()}"):
        commit(lake, simple(1), wait_seconds=0)
    commit(lake, simple(1))


def test_a_commit_waits_for_the_lock_in_postgresql(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, database.dsn)
    lake = Lake(f"file://{tmp_path}/storage", tmp_path / "state", tables=TABLES, catalog_variable=VARIABLE)
    with lake._catalog.committing(1), pytest.raises(DrawdownError, match="an advisory lock in PostgreSQL"):
        commit(lake, simple(1), wait_seconds=0)
    commit(lake, simple(1))
    with lake._catalog.committing(1) as (_, lock):
        lock.check()
        database.rows("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        with pytest.raises(DrawdownError, match="ended the session that holds the lock"):
            lock.check()


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (f"postgresql://someone:{PASSWORD}@127.0.0.1:1/nowhere", "connection to server at|Connection refused"),
        (f"mysql://someone:{PASSWORD}@127.0.0.1:1/nowhere", "the catalog may be in PostgreSQL"),
        (f"someone:{PASSWORD}@127.0.0.1", "is no URI of a database"),
    ],
)
def test_a_catalog_that_cannot_be_reached_is_named_without_its_password(
    address: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(DrawdownError, match=problem) as failure:
        commit(Lake(f"file://{tmp_path}/storage", tmp_path / "state", tables=TABLES, catalog_variable=VARIABLE), {})
    assert VARIABLE in str(failure.value)
    assert PASSWORD not in str(failure.value)
    assert leaks([PASSWORD], tmp_path) == []


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="TEST_LAKE_NONE is not set"):
        Lake(f"file://{tmp_path}/storage", tmp_path, catalog_variable="TEST_LAKE_NONE")


def _killed_at(place: Place, what: str, number: int) -> bool:
    """Commit in a process that is killed at a step; whether it came to its end instead."""
    process = _process(place.url, place.folder / "state", "", what, number)
    said, problems = process.communicate(timeout=120)
    place.said[f"killed at {number}"] = said + problems
    assert process.returncode in (0, -signal.SIGKILL), problems
    return process.returncode == 0


def _holds(lake: Lake, pointer: BuildPointer, place: Place, parts: dict[Any, Any]) -> None:
    assert amounts(lake, pointer, place.folder) == expected(parts)
    for table in TABLES:
        assert len(from_iceberg(pointer, table)) == pointer.tables[table.full_name].rows


def _every_kill(place: Place, what: str, stride: int) -> int:
    """Kill a commit at every step (or each `stride`th), and check what it leaves; returns the number of kills."""
    old, killed = simple(1), simple(2, shards=[0], months=[FEBRUARY, MARCH])
    new = simple(3, shards=[1], months=[FEBRUARY])
    number, kills = 1, 0
    base = place.folder / "base"
    url = place.url
    while True:
        # Each starts from a lake of its own, since a kill of one must not help the next.
        place.url = f"{url}-{number}"
        shutil.rmtree(place.folder / "state", ignore_errors=True)
        lake = Lake(place.url, place.folder / "state", tables=TABLES)
        before = commit(lake, old)
        is_done = _killed_at(place, what, number)
        left = lake.current()
        assert left is not None
        if left.build_id == before.build_id:
            assert not is_done
            assert left == before
            _holds(lake, left, place, old)
        else:
            _holds(lake, left, place, old | killed)
        held = old if left.build_id == before.build_id else old | killed
        # Retention while the build may still be running, then the next commit, then retention of what was abandoned.
        after = commit(lake, new)
        _holds(lake, after, place, held | new)
        assert [each.build_id for each in pointers(lake.store)][:2] == [after.build_id, left.build_id]
        lake.remove_unneeded(kept_builds=1, abandoned_after=timedelta(0))
        _holds(lake, after, place, held | new)
        data = {each.key for each in lake.store.list("tables") if each.key.endswith(".parquet")}
        assert data == {file.key for version in after.tables.values() for file in version.files}
        assert [each.key for each in lake.store.list("builds")] == [f"builds/{after.build_id}.json"]
        if is_done:
            assert not base.exists()
            return kills
        kills += 1
        number += stride


@pytest.mark.long
def test_a_commit_killed_at_any_step_leaves_a_complete_build(place: Place) -> None:
    assert _every_kill(place, "commit", 1 if place.url.startswith("file:") else 3) >= 10


@pytest.mark.long
def test_retention_killed_at_any_step_leaves_a_complete_build(place: Place) -> None:
    assert _every_kill(place, "commit and remove", 5) >= 5


def test_a_commit_killed_before_it_switches_leaves_the_build_before(place: Place) -> None:
    lake = Lake(place.url, place.folder / "state", tables=TABLES)
    before = commit(lake, simple(1))
    assert not _killed_at(place, "commit", 12)
    assert lake.current() == before
    _holds(lake, before, place, simple(1))
    after = commit(lake, simple(3, shards=[1]))
    _holds(lake, after, place, simple(1) | simple(3, shards=[1]))


# -- as of, and retention -----------------------------------------------------------------------------------------


def test_a_build_is_found_by_an_instant(lake: Lake, place: Place) -> None:
    with pytest.raises(DrawdownError, match="has no build yet"):
        pointer_as_of(lake.store, datetime(2026, 1, 1, tzinfo=UTC))
    moments = [datetime(2026, 5, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    made = [commit(lake, simple(number), now=moment) for number, moment in enumerate(moments)]
    second = timedelta(seconds=1)
    for number, pointer in enumerate(made):
        assert pointer_as_of(lake.store, moments[number]) == pointer
        assert pointer_as_of(lake.store, moments[number] + second) == pointer
        assert amounts(lake, pointer, place.folder) == expected(simple(number))
    with pytest.raises(
        DrawdownError, match=rf"has no build of 2026-05-01T11:59:59Z; the oldest .* is {made[0].build_id}"
    ):
        pointer_as_of(lake.store, moments[0] - second)


def test_retention_keeps_three_builds_and_what_is_being_made(lake: Lake, place: Place) -> None:
    for number in range(5):
        commit(lake, simple(number, shards=[0]))
    running, dead = FetchIds().draw(), FetchIds().draw()
    lake.begin(running)
    parts = stored(lake, running, simple(7, shards=[1]))
    stored(lake, dead, simple(8, shards=[1]))
    kept = list(pointers(lake.store))[:3]
    gone = {each.key for each in lake.store.list()}
    removed = lake.remove_unneeded()
    gone -= {each.key for each in lake.store.list()}
    assert removed.builds == 2
    assert removed.snapshots > 0
    assert len([key for key in gone if dead in key]) == len(simple(8, shards=[1]))
    assert not [each.key for each in lake.store.list("tables") if dead in each.key]
    assert [pointer.build_id for pointer in pointers(lake.store)] == [pointer.build_id for pointer in kept]
    for number, pointer in zip((4, 3, 2), kept, strict=True):
        _holds(lake, pointer, place, simple(number, shards=[0]))
    after = lake.commit(running, parts)
    _holds(lake, after, place, simple(4, shards=[0]) | simple(7, shards=[1]))
    again = lake.remove_unneeded()
    assert again.builds == 1
    nothing = lake.remove_unneeded()
    assert (nothing.builds, nothing.snapshots, nothing.files) == (0, 0, 0)
    with pytest.raises(ValueError, match="at least one"):
        lake.remove_unneeded(kept_builds=0)


def test_an_abandoned_build_is_deleted(lake: Lake) -> None:
    commit(lake, simple(1))
    abandoned, old = FetchIds().draw(), FetchIds().draw()
    for build_id in (abandoned, old):
        lake.begin(build_id)
        stored(lake, build_id, simple(2))
    lake.abandon(abandoned)
    lake.remove_unneeded()
    assert {build for build in (abandoned, old) if any(build in each.key for each in lake.store.list())} == {old}
    lake.remove_unneeded(abandoned_after=timedelta(0))
    assert not any(old in each.key for each in lake.store.list())


def test_many_commits_do_not_collect_manifests(tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path}/storage", tmp_path / "state", tables=[WHOLE])
    from pyiceberg.table import StaticTable

    for number in range(30):
        pointer = commit(
            lake, {(WHOLE.full_name, shard, None): [(f"account-{shard}", number)] for shard in (0, 1)}, [WHOLE]
        )
    found = StaticTable.from_metadata(pointer.tables[WHOLE.full_name].metadata_location)
    snapshot = found.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(found.io)) <= 2
    lake.remove_unneeded()
    assert len(list(lake.store.list())) < 25
