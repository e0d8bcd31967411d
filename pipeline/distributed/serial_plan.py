"""The plan in this process: one shard after another, for tests and for small fleets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.distributed.landed_files import read_rows
from pipeline.distributed.shard_tasks import BuildTask, FirstResult, SecondResult, run_first, run_second
from pipeline.distributed.shards import Shards
from pipeline.lake.open_store import open_store
from pipeline.staging.aliases import Aliases

if TYPE_CHECKING:
    import polars as pl


class SerialPlan:
    """Runs the tasks of a build in this process."""

    def first_stages(
        self, task: BuildTask, keys: Sequence[str], kept: Mapping[int, str], shards: Iterable[int]
    ) -> dict[int, FirstResult | None]:
        """Run the first stage of shards with the rows of landed files."""
        return {shard: run_first(task, shard, _rows(task, keys, shard), kept.get(shard)) for shard in shards}

    def second_stages(
        self, task: BuildTask, kept: Mapping[int, str], pool: pl.DataFrame | None
    ) -> dict[int, SecondResult]:
        """Run the second stage of shards."""
        return {shard: run_second(task, shard, key, pool) for shard, key in kept.items()}


def _rows(task: BuildTask, keys: Sequence[str], wanted: int) -> Iterator[pa.Table]:
    store, shards = open_store(task.storage), Shards(task.count, Aliases(dict(task.former_names)))
    with tempfile.TemporaryDirectory(prefix="drawdown-landed-") as folder:
        for key in keys:
            for rows in read_rows(store, key, Path(folder)):
                yield from (own for _, own in shards.divide(rows, [wanted]))
