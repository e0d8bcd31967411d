"""Uploads of landing: complete whatever happens to the record, and without looking through the folders of all days."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.distributed.uploads import upload
from pipeline.lake.file_store import FileStore
from pipeline.lake.object_store import StoredFile
from pipeline.support.home import Home


class CountingStore(FileStore):
    """A folder that counts how often it is looked through."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.lists = 0

    def list(self, prefix: str) -> Iterator[StoredFile]:
        self.lists += 1
        return super().list(prefix)


def _land(home: Home, day: int, number: int) -> None:
    folder = home.landing / "vpsbg" / "balance" / "2026" / "12" / f"{day:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number:04d}.parquet").write_bytes(f"answer {number}".encode())


def _stored(folder: Path) -> dict[str, bytes]:
    landing = folder / "landing"
    return {path.relative_to(landing).as_posix(): path.read_bytes() for path in landing.rglob("*.parquet")}


def _landed(home: Home) -> dict[str, bytes]:
    return {path.relative_to(home.landing).as_posix(): path.read_bytes() for path in home.landing.rglob("*.parquet")}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "data")


def test_only_folders_with_new_files_are_looked_through(home: Home, tmp_path: Path) -> None:
    store = CountingStore(tmp_path / "lake")
    for day in range(1, 29):
        _land(home, day, day)
    assert upload(home, store) == 28
    store.lists = 0
    assert upload(home, store) == 0
    assert store.lists == 0
    _land(home, 28, 100)
    assert upload(home, store) == 1
    assert store.lists == 1
    assert _stored(tmp_path / "lake") == _landed(home)
    assert {path.stat().st_mode & 0o777 for path in (home.path / "uploaded").iterdir()} == {0o600}


def test_another_storage_gets_every_file(home: Home, tmp_path: Path) -> None:
    _land(home, 1, 1)
    for name in ("one", "other"):
        assert upload(home, FileStore(tmp_path / name)) == 1
        assert _stored(tmp_path / name) == _landed(home)


def test_a_rebuild_uploads_again_what_the_storage_has_lost(home: Home, tmp_path: Path) -> None:
    store = FileStore(tmp_path / "lake")
    for day in (1, 2):
        _land(home, day, day)
    upload(home, store)
    shutil.rmtree(tmp_path / "lake" / "landing" / "vpsbg" / "balance" / "2026" / "12" / "01")
    assert upload(home, store) == 0
    assert upload(home, store, trusts_record=False) == 1
    assert _stored(tmp_path / "lake") == _landed(home)


@settings(max_examples=40)
@given(steps=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5), st.floats(0, 1)), min_size=1, max_size=12))
def test_a_record_that_is_cut_off_anywhere_loses_no_file(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, float]]
) -> None:
    folder = tmp_path_factory.mktemp("uploads")
    home, store = Home(folder / "data"), FileStore(folder / "lake")
    number = 0
    for day, count, kept in steps:
        for _ in range(count):
            number += 1
            _land(home, day, number)
        upload(home, store)
        assert _stored(folder / "lake") == _landed(home)
        for record in (home.path / "uploaded").glob("*"):
            content = record.read_bytes()
            record.write_bytes(content[: int(len(content) * kept)])
