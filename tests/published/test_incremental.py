"""A build made from the previous one: what is written again, when it is written whole instead, and its Parquet files."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from pipeline.cli.checksum import checksums
from pipeline.published import build_record, incremental, snapshot
from pipeline.published.build_record import read_record, write_record
from pipeline.published.focus import publish_focus
from pipeline.published.parquet_files import publish_parquet
from pipeline.published.snapshot import Build, write_build
from pipeline.schema.tables import ALL, published
from tests.staging.landed import NOW, Landing, NewWorkshop, Workshop
from tests.staging.workshops import new_workshop, template

__all__ = ["new_workshop", "template"]

MONTHS = (datetime(2026, 1, 20, tzinfo=UTC), datetime(2026, 2, 20, tzinfo=UTC), NOW)
SNAPSHOTS = "core.balance_snapshots"


@pytest.fixture(scope="module")
def first(new_workshop: NewWorkshop) -> Workshop:
    """An account read in three months, and its first build; to be copied."""
    workshop = new_workshop()
    workshop.landing.run({"main": {}})
    for at in MONTHS:
        _read(workshop, at)
    _refresh(workshop)
    assert _publish(workshop).why_whole is not None
    workshop.warehouse.close()
    return workshop


@pytest.fixture
def made(first: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """A copy of the first build's state folder."""
    shutil.copytree(first.home.path, tmp_path / "data", symlinks=True)
    with Workshop(tmp_path / "data", first.home.warehouse) as workshop:
        workshop.landing = Landing(workshop.home.landing, count(100))
        yield workshop


def _read(workshop: Workshop, at: datetime, balance: int = 100) -> None:
    body = {"balance": balance - at.month, "currency": "EUR"}
    workshop.landing.answer("vpsbg", "balance", body, at=at)


def _refresh(workshop: Workshop) -> None:
    workshop.load()
    workshop.recompute("core", "marts")


def _publish(workshop: Workshop) -> Build:
    build = snapshot.publish(workshop.connection, workshop.home, published())
    whole = workshop.home.path / "whole.duckdb"
    whole.unlink(missing_ok=True)
    write_build(workshop.connection, whole, published(), current=workshop.home.current)
    assert checksums(build.path) == checksums(whole)
    return build


def _next_hour(workshop: Workshop) -> Build:
    _read(workshop, NOW + timedelta(hours=1), balance=90)
    _refresh(workshop)
    return _publish(workshop)


def test_only_the_months_and_tables_with_changes_are_written_again(made: Workshop) -> None:
    base = made.home.current.resolve()

    build = _next_hour(made)

    assert build.why_whole is None
    assert build.record.base == base.parent.name
    assert build.record.rewritten[SNAPSHOTS] == ["2026-03"]
    # Residuals of three months before and after are recomputed, and are the same as before.
    assert build.record.rewritten["core.balance_bridge"] == ["2026-03"]
    assert build.record.rewritten["marts.account_status"] == ["all"]
    assert "core.invoices" not in build.record.rewritten
    assert read_record(build.path) == build.record


def test_a_late_reading_rewrites_the_months_that_it_reaches(made: Workshop) -> None:
    _read(made, MONTHS[0] + timedelta(hours=5))
    _refresh(made)

    build = _publish(made)

    assert build.record.rewritten[SNAPSHOTS] == ["2026-01"]
    assert build.record.rewritten["core.balance_bridge"] == ["2026-01", "2026-02"]


def test_changes_of_runs_that_published_nothing_are_in_the_next_build(made: Workshop) -> None:
    _read(made, MONTHS[0] + timedelta(hours=5))
    _refresh(made)
    _read(made, MONTHS[1] + timedelta(hours=5))
    _refresh(made)

    assert _publish(made).record.rewritten[SNAPSHOTS] == ["2026-01", "2026-02"]


def test_a_reader_with_the_base_open_keeps_it(made: Workshop) -> None:
    with duckdb.connect(made.home.current.resolve(), read_only=True) as reader:
        count = f"SELECT count(*) FROM {SNAPSHOTS}"
        assert reader.execute(count).fetchall() == [(3,)]

        build = _next_hour(made)

        assert reader.execute(count).fetchall() == [(3,)]
    with duckdb.connect(build.path, read_only=True) as reader:
        assert reader.execute(count).fetchall() == [(4,)]


def test_an_updated_build_has_the_format_and_the_comments_of_a_whole_one(made: Workshop) -> None:
    whole = made.home.current.resolve()
    described = []
    for path in (whole, _next_hour(made).path):
        with duckdb.connect() as reader:
            reader.execute(f"ATTACH '{path}' AS build (READ_ONLY)")
            described.append((
                reader.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'build'").fetchall(),
                reader.execute("SELECT block_size FROM pragma_database_size() WHERE database_name = 'build'").fetchall(),
                reader.execute("SELECT schema_name, table_name, comment FROM duckdb_tables() ORDER BY ALL").fetchall(),
                reader.execute("SELECT table_name, column_name, comment FROM duckdb_columns() ORDER BY ALL").fetchall(),
            ))  # fmt: skip
        assert path.stat().st_mode & 0o777 == 0o600

    assert described[0] == described[1]


def _enter(workshop: Workshop, at: datetime, *entries: tuple[str, str, datetime]) -> None:
    rows = [
        {"id": name, "type": "usage", "amount": amount, "created_at": when.isoformat(), "status": "paid"}
        for name, amount, when in entries
    ]
    body = {"data": rows, "links": {"next": None}, "meta": {}}
    workshop.landing.answer("vpsbg", "transactions", body, at=at)


def test_a_restated_charge_rewrites_its_billing_period_alone(made: Workshop) -> None:
    _enter(made, NOW, ("a", "-1.5", MONTHS[0]), ("b", "-2.5", MONTHS[1]))
    _refresh(made)
    build = _publish(made)
    publish_focus(build.path, made.home)
    folder = made.home.focus / "focus_cost_and_usage"
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    _enter(made, NOW + timedelta(hours=1), ("b", "-3.5", MONTHS[1]))
    _refresh(made)

    build = _publish(made)
    publish_focus(build.path, made.home)

    assert build.record.rewritten["marts.focus_cost_and_usage"] == ["2026-02"]
    after = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert sorted(after) == ["2026-01.csv", "2026-01.parquet", "2026-02.csv", "2026-02.parquet"]
    assert {name for name in after if after[name] != before[name]} == {"2026-02.csv", "2026-02.parquet"}


# -- doubt ---------------------------------------------------------------------------------------------------------


def _of_another_layout(made: Workshop) -> None:
    path = made.home.current.resolve()
    record = read_record(path)
    assert record
    write_record(path, build_record.BuildRecord(layout="other", whole_bytes=record.whole_bytes))


def _grown(made: Workshop) -> None:
    path = made.home.current.resolve()
    os.truncate(path, 10 * path.stat().st_size)


def _elsewhere(made: Workshop) -> None:
    other = made.home.published / "other.duckdb"
    other.write_bytes(made.home.current.read_bytes())
    made.home.current.unlink()
    made.home.current.symlink_to(other)


def _damaged(made: Workshop) -> None:
    path = made.home.current.resolve()
    path.write_bytes(b"\0" * path.stat().st_size)


def _quarantined(made: Workshop) -> None:
    made.connection.execute("INSERT INTO staging.quarantine VALUES ('main', 'core.accounts', 'a rule', now())")


def _changed_without_a_note(made: Workshop) -> None:
    made.connection.execute(f"DELETE FROM {SNAPSHOTS} WHERE observed_at_utc < '2026-02-01'")


DOUBTS: dict[str, Callable[[Workshop], object]] = {
    "current.duckdb is not build": lambda made: made.home.current.unlink(),
    "which the warehouse records": _elsewhere,
    "other tables, or another version": _of_another_layout,
    "the last build has other tables": lambda made: (made.home.current.resolve().parent / "build.json").unlink(),
    "times its size when written whole": _grown,
    "not a valid DuckDB": _damaged,
    "an account is in quarantine": _quarantined,
    "core.balance_snapshots has 2 rows, and 3": _changed_without_a_note,
}


@pytest.mark.parametrize("why", DOUBTS)
def test_a_doubt_is_a_reason_for_a_whole_build(made: Workshop, why: str) -> None:
    DOUBTS[why](made)

    build = _publish(made)

    assert build.why_whole is not None
    assert why in build.why_whole
    assert build.record.base is None


def test_builds_are_whole_until_no_account_is_in_quarantine(made: Workshop) -> None:
    _quarantined(made)
    assert _publish(made).why_whole is not None
    made.connection.execute("DELETE FROM staging.quarantine")
    assert _publish(made).why_whole == "the warehouse records no build that it differs from in known months"
    assert _publish(made).why_whole is None


def test_a_build_that_ends_before_the_warehouse_records_it_is_followed_by_a_whole_one(
    made: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.home.current.resolve()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(snapshot, "record_build", _interrupted)
        _next_hour(made)
    assert made.home.current.resolve() != before

    assert _publish(made).why_whole is not None
    assert _publish(made).why_whole is None


def test_a_build_that_ends_while_the_copy_is_updated_is_followed_by_a_whole_one(
    made: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.home.current.resolve()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(incremental, "_row_counts", _interrupted)
        _next_hour(made)
    assert made.home.current.resolve() == before
    assert [path.name for path in (made.home.published / "versions").iterdir()] == [before.parent.name]

    assert _publish(made).why_whole is not None
    assert _publish(made).why_whole is None


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS])
def test_a_file_is_copied_where_the_kernel_cannot(made: Workshop, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    within = os.copy_file_range

    def half(source: int, target: int, count: int) -> int:
        if os.lseek(target, 0, os.SEEK_CUR):
            raise OSError(number, os.strerror(number))
        return within(source, target, count // 2)

    monkeypatch.setattr(os, "copy_file_range", half)

    assert _next_hour(made).why_whole is None


def test_a_full_disk_while_copying_keeps_the_build_that_readers_have(
    made: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = made.home.current.resolve()

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full)
    monkeypatch.setattr(snapshot, "write_build", full)
    with pytest.raises(OSError, match="No space left"):
        _next_hour(made)

    assert made.home.current.resolve() == before
    assert [path.name for path in (made.home.published / "versions").iterdir()] == [before.parent.name]


# -- Parquet -------------------------------------------------------------------------------------------------------


def _parquet(workshop: Workshop) -> dict[str, int]:
    """Publish Parquet files; the inode of each that readers see."""
    publish_parquet(workshop.home.current.resolve(), workshop.home, published())
    folder = workshop.home.parquet.resolve()
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*.parquet") if path.is_file()}


def _rows(workshop: Workshop) -> int:
    return int(
        duckdb.sql(f"SELECT count(*) FROM '{workshop.home.parquet}/{SNAPSHOTS}.parquet/*.parquet'").fetchall()[0][0]
    )


def test_parquet_files_without_changes_are_those_of_the_build_before(made: Workshop) -> None:
    before = _parquet(made)
    _next_hour(made)
    after = _parquet(made)

    assert after.keys() == before.keys()
    changed = {name for name in after if after[name] != before[name]}
    assert {f"{SNAPSHOTS}.parquet/2026-03.parquet", "marts.account_status.parquet"} <= changed
    assert changed.isdisjoint({f"{SNAPSHOTS}.parquet/2026-01.parquet", "core.invoices.parquet"})
    assert _rows(made) == 4


def test_a_folder_of_months_is_read_like_a_file(made: Workshop) -> None:
    _parquet(made)
    path = made.home.parquet / f"{SNAPSHOTS}.parquet"

    assert pl.read_parquet(path).height == 3
    assert pq.read_table(path).num_rows == 3
    assert pl.read_parquet(path).columns == list(ALL[SNAPSHOTS].column_names)


def test_parquet_files_are_whole_where_those_of_the_base_are_missing(made: Workshop) -> None:
    _next_hour(made)
    files = publish_parquet(made.home.current.resolve(), made.home, published())

    assert files
    assert files.linked == []
    assert _rows(made) == 4


def test_parquet_files_are_copied_where_the_file_system_has_no_links(
    made: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _parquet(made)

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    _next_hour(made)
    after = _parquet(made)

    assert set(after.values()).isdisjoint(before.values())
    assert _rows(made) == 4


def test_the_folder_of_an_earlier_version_is_replaced(made: Workshop) -> None:
    made.home.parquet.mkdir()
    (made.home.parquet / "core.accounts.parquet").write_bytes(b"")

    assert "core.accounts.parquet" in _parquet(made)
    assert _rows(made) == 3
    assert {path.name for path in made.home.published.iterdir()} == {"current.duckdb", "parquet", "versions"}


def test_the_build_whose_parquet_files_readers_see_is_kept(made: Workshop) -> None:
    _parquet(made)
    shown = made.home.parquet.resolve()
    for _ in range(snapshot.KEPT_VERSIONS + 1):
        _publish(made)

    assert made.home.parquet.resolve() == shown
    assert _rows(made) == 3
    assert len(list((made.home.published / "versions").iterdir())) == snapshot.KEPT_VERSIONS + 1
