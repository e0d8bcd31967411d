"""Compaction: the files of a finished day become one. The rows stay what they were, byte for byte."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from pipeline.landing import store

_LEFTOVER_SECONDS: Final = 86_400
"""No run writes for so long: an unfinished file of that age was left by a crash."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did."""

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


def folder_count(landing: Path) -> int:
    """How many folders a compaction goes through: a day of an endpoint each."""
    return len(store.day_folders(landing))


def compact(landing: Path, today: date, on_folder: Callable[[], None] = lambda: None) -> Compaction:
    """Merge each endpoint's files of every day before `today` into one; `on_folder` is called after each folder.

    The merged file has its name before the others lose theirs, so a crash in between only leaves fetches standing
    twice, which loading (by fetch id) does not notice and the next compaction mends.
    """
    counts = [0, 0, 0, 0]
    for folder in store.day_folders(landing):
        day = date(*(int(part) for part in folder.parts[-3:]))
        paths = store.files(folder)
        counts[0] += len(paths)
        counts[2] += _size(paths)
        if day < today:
            for leftover in folder.glob(".*.tmp"):
                # A run that began before midnight may still be writing its file, and so may another compaction.
                with contextlib.suppress(FileNotFoundError):
                    if leftover.stat().st_mtime < time.time() - _LEFTOVER_SECONDS:
                        leftover.unlink()
            if len(paths) > 1:
                paths = _merge(folder, paths)
        counts[1] += len(paths)
        counts[3] += _size(paths)
        on_folder()
    return Compaction(files_before=counts[0], files_after=counts[1], bytes_before=counts[2], bytes_after=counts[3])


def _merge(folder: Path, paths: list[Path]) -> list[Path]:
    target = folder / f"{paths[0].stem.removesuffix('-merged')}-merged.parquet"
    try:
        store.merge(paths, target)
    except FileNotFoundError:
        # Another compaction was faster, and its merged file holds these rows.
        return store.files(folder)
    for path in paths:
        if path != target:
            path.unlink(missing_ok=True)
    return [target]


def _size(paths: list[Path]) -> int:
    size = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size
    return size
