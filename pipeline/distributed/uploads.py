"""Uploads of landing to the storage, and a record of them in the state folder."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pipeline.distributed.shard_tasks import LANDING
from pipeline.lake.object_store import ObjectStore
from pipeline.landing import store as landing_store
from pipeline.support.home import Home, private_folder

_UPLOADS_AT_ONCE: Final = 16
"""Files stored at the same time: waiting for the disk or the network takes most of their time."""


def upload(home: Home, store: ObjectStore, *, trusts_record: bool = True) -> int:
    """Store the files of a state folder's landing that the storage lacks; returns their number.

    A file never changes once it has its name, and every poller's names differ. Files that the record lists are not
    looked for in the storage, whose folders grow with history; without `trusts_record` every file is. Raises
    DrawdownError if the storage fails.
    """
    record = _record(home, store)
    recorded = _names(record)
    paths = {path.relative_to(home.landing).as_posix(): path for path in landing_store.iterate(home.landing)}
    asked = paths.keys() - recorded if trusts_record else paths.keys()
    folders = {name.rpartition("/")[0] for name in asked}
    stored = {each.key for folder in folders for each in store.list(f"{LANDING}/{folder}")}
    missing = [(paths[name], f"{LANDING}/{name}") for name in sorted(asked) if f"{LANDING}/{name}" not in stored]
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as threads:
        for _ in threads.map(lambda each: store.put(*each), missing):
            pass
    _remember(record, paths.keys() - recorded)
    return len(missing)


def _record(home: Home, store: ObjectStore) -> Path:
    """The file with the names of what was uploaded to a storage."""
    return home.path / "uploaded" / f"{hashlib.sha256(store.url.encode()).hexdigest()[:16]}.txt"


def _names(record: Path) -> frozenset[str]:
    try:
        return frozenset(record.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return frozenset()


def _remember(record: Path, names: set[str]) -> None:
    """Append names, each in a line. One that a crash has cut off matches no file, which is then looked for again."""
    if not names:
        return
    private_folder(record.parent)
    with open(record, "a", encoding="utf-8", opener=_private) as file:
        file.write("".join(f"{name}\n" for name in sorted(names)))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
