"""Compaction: merges the files of a finished day into one. The rows do not change.

One compaction runs at a time. Runs and loads continue without a lock: a file that is merged keeps its name until the
merged file has another, and no file is ever replaced.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.landing import store
from pipeline.support.file_lock import take_lock

LOCK: Final = ".compact.lock"
"""Below landing; not needed in a backup."""

_LEFTOVER_SECONDS: Final = 86_400
"""No run writes for this long, so an older unfinished file was left by a crash."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """Result of a compaction."""

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


def folder_count(landing: Path) -> int:
    """Number of folders that a compaction visits: one for each endpoint and day."""
    return len(store.day_folders(landing))


def compact(
    landing: Path, today: date, on_folder: Callable[[], None] = lambda: None, *, wait_seconds: float = 60.0
) -> Compaction:
    """Merge each endpoint's files of every day before `today` into one; `on_folder` is called after each folder.

    The merged file gets its name before the others are removed, so a crash in between only leaves fetches in two files,
    which loading (by fetch id) ignores and the next compaction cleans up.

    Raises DrawdownError if another compaction runs for longer than the wait, or if a file is damaged.
    """
    with take_lock(landing / LOCK, wait_seconds, what="landing is being compacted"):
        counts = [0, 0, 0, 0]
        for folder in store.day_folders(landing):
            paths = store.files(folder)
            counts[0] += len(paths)
            counts[2] += _size(paths)
            if date(*(int(part) for part in folder.parts[-3:])) < today:
                _sweep(folder)
                if len(paths) > 1:
                    paths = [_merge(folder, paths)]
            counts[1] += len(paths)
            counts[3] += _size(paths)
            on_folder()
    return Compaction(files_before=counts[0], files_after=counts[1], bytes_before=counts[2], bytes_after=counts[3])


def _sweep(folder: Path) -> None:
    for leftover in folder.glob(".*.tmp"):
        # A run that began before midnight may still be writing its file.
        with contextlib.suppress(FileNotFoundError):
            if leftover.stat().st_mtime < time.time() - _LEFTOVER_SECONDS:
                leftover.unlink()


def _merge(folder: Path, paths: list[Path]) -> Path:
    """Write the fetches of several files into one, each once and by fetch id, and remove the files."""
    table = pa.concat_tables([table for _, table in store.read_together(paths)]).sort_by("fetch_id")
    ids = table.column("fetch_id").to_pylist()
    places = [place for place, fetch_id in enumerate(ids) if place == 0 or fetch_id != ids[place - 1]]
    table = table.take(places)
    ids = [ids[place] for place in places]
    # The name is derived from the contents, so an existing file of this name has the same contents.
    target = folder / f"{ids[0]}-{sha256(''.join(ids).encode()).hexdigest()[:16]}-merged.parquet"
    if target not in paths:
        _write(table, target)
    for path in paths:
        if path != target:
            path.unlink(missing_ok=True)
    return target


def _write(table: pa.Table, target: Path) -> None:
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        pq.write_table(table, name, compression="zstd")
        # Another compaction without the lock may have written the same.
        with contextlib.suppress(FileExistsError):
            store.settle(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _size(paths: list[Path]) -> int:
    size = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size
    return size
