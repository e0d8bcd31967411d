"""Landing in the storage: the files that all pollers have uploaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

from pipeline.distributed.shard_tasks import LANDING, BuildTask
from pipeline.distributed.shards import Shards
from pipeline.lake.object_store import ObjectStore
from pipeline.lake.open_store import open_store
from pipeline.landing import store as landing_store
from pipeline.staging.aliases import Aliases
from pipeline.support.home import private_folder

_ROWS: Final = 2_000
"""Rows of landing in one Arrow batch: bodies of long listings have megabytes."""


def landed_keys(store: ObjectStore) -> list[str]:
    """Keys of the landed files."""
    return [
        each.key
        for each in store.list(LANDING)
        if each.key.endswith(".parquet") and not each.key.rpartition("/")[2].startswith(".")
    ]


def download_own(store: ObjectStore, keys: Iterable[str], landing: Path) -> int:
    """Copy Drawdown's own entries that other machines landed into a local landing folder; returns their number.

    Forecasts of accounts, which only shards need, are left out. Raises DrawdownError if the storage fails.
    """
    count = 0
    for key in keys:
        _, vendor, kind, *_ = key.split("/")
        path = landing / key.removeprefix(f"{LANDING}/")
        if vendor == landing_store.OWN and kind != landing_store.FORECASTS and not path.exists():
            private_folder(path.parent)
            store.get(key, path)
            count += 1
    return count


def rows_by_shard(task: BuildTask, keys: Iterable[str], wanted: Collection[int]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the rows of landed files, some at a time, each with the shard of `wanted` that needs them.

    Raises DrawdownError for a damaged file, and if the storage fails.
    """
    store, shards = open_store(task.storage), Shards(task.count, Aliases(dict(task.former_names)))
    for key in keys:
        rows = landing_store.read_file(pa.BufferReader(store.read(key)), store.location(key))
        for start in range(0, rows.num_rows, _ROWS):
            yield from shards.divide(rows.slice(start, _ROWS), wanted)
