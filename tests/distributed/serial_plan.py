"""The plan in this process: one shard after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from pipeline.distributed.landed_files import rows_by_shard
from pipeline.distributed.shard_tasks import BuildTask, FirstResult, SecondResult, run_first, run_second


class SerialPlan:
    """Runs the tasks of a build in this process."""

    def first_stages(
        self, task: BuildTask, keys: Sequence[str], kept: Mapping[int, str], shards: Iterable[int]
    ) -> dict[int, FirstResult | None]:
        """Run the first stage of shards with the rows of landed files."""
        return {
            shard: run_first(task, shard, (rows for _, rows in rows_by_shard(task, keys, [shard])), kept.get(shard))
            for shard in shards
        }

    def second_stages(
        self, task: BuildTask, kept: Mapping[int, str], pool: pl.DataFrame | None
    ) -> dict[int, SecondResult]:
        """Run the second stage of shards."""
        return {shard: run_second(task, shard, key, pool) for shard, key in kept.items()}
