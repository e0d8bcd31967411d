"""The plan that Spark runs: landing's files are read, divided by shard, and each shard is computed by one task."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.distributed.landed_files import rows_by_shard
from pipeline.distributed.shard_tasks import BuildTask, FirstResult, SecondResult, run_first, run_second
from pipeline.distributed.spark_session import open_session
from pipeline.landing.store import SCHEMA
from pipeline.settings.spark_target import SparkTarget

if TYPE_CHECKING:
    import polars as pl
    from pyspark.sql import SparkSession

_SHARD: Final = "shard"
_RESULT: Final = pa.schema([(_SHARD, pa.int32()), ("result", pa.binary())])
_LANDED: Final = SCHEMA.append(pa.field(_SHARD, pa.int32()))
_BATCH_BYTES: Final = 4 * 1024 * 1024
_BATCH_PARTS: Final = 1_000
"""Bounds of what a reader passes on at once: a batch costs Spark as much as some hundred rows."""

Batches = Iterator[pa.RecordBatch]


class SparkPlan:
    """Runs the tasks of a build on a cluster, which is reached when the first tasks run."""

    def __init__(self, target: SparkTarget) -> None:
        self._target = target

    @cached_property
    def _spark(self) -> SparkSession:
        return open_session(self._target)

    def first_stages(
        self, task: BuildTask, keys: Sequence[str], kept: Mapping[int, str], shards: Iterable[int]
    ) -> dict[int, FirstResult | None]:
        """Run the first stage of shards with the rows of landed files."""
        wanted = frozenset(shards)
        readers = max(1, min(len(keys), 4 * task.count))
        files = self._spark.createDataFrame([(key,) for key in keys], "key string").repartition(readers)
        landed = files.mapInArrow(_reader(task, wanted), _ddl(_LANDED)).repartitionById(task.count, _SHARD)
        return _collected(landed.mapInArrow(_first(task, dict(kept), wanted), _ddl(_RESULT)))

    def second_stages(
        self, task: BuildTask, kept: Mapping[int, str], pool: pl.DataFrame | None
    ) -> dict[int, SecondResult]:
        """Run the second stage of shards."""
        shards = self._spark.createDataFrame([(shard,) for shard in sorted(kept)], f"{_SHARD} int")
        divided = shards.repartitionById(task.count, _SHARD)
        return _collected(divided.mapInArrow(_second(task, dict(kept), pool), _ddl(_RESULT)))


def _reader(task: BuildTask, wanted: frozenset[int]) -> Callable[[Batches], Batches]:
    def read(batches: Batches) -> Batches:
        keys = (key for batch in batches for key in batch.column("key").to_pylist())
        waiting: list[pa.Table] = []
        size = 0
        for shard, rows in rows_by_shard(task, keys, wanted):
            waiting.append(rows.append_column(_SHARD, pa.repeat(pa.scalar(shard, pa.int32()), rows.num_rows)))
            size += rows.nbytes
            if size >= _BATCH_BYTES or len(waiting) == _BATCH_PARTS:
                yield from pa.concat_tables(waiting).combine_chunks().to_batches()
                waiting, size = [], 0
        if waiting:
            yield from pa.concat_tables(waiting).combine_chunks().to_batches()

    return read


def _first(task: BuildTask, kept: dict[int, str], wanted: frozenset[int]) -> Callable[[Batches], Batches]:
    def compute(batches: Batches) -> Batches:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None  # noqa: S101 - it runs in a task
        shard = context.partitionId()
        if shard in wanted:
            yield _row(shard, run_first(task, shard, _by_endpoint(batches), kept.get(shard)))

    return compute


def _by_endpoint(batches: Batches) -> Iterator[pa.Table]:
    for batch in batches:
        rows = pa.Table.from_batches([batch]).drop_columns([_SHARD]).cast(SCHEMA)
        names = {(row["vendor"], row["endpoint"]) for row in rows.select(["vendor", "endpoint"]).to_pylist()}
        for vendor, endpoint in sorted(names):
            yield rows.filter(
                pc.and_(pc.equal(rows.column("vendor"), vendor), pc.equal(rows.column("endpoint"), endpoint))
            )


def _second(task: BuildTask, kept: dict[int, str], pool: pl.DataFrame | None) -> Callable[[Batches], Batches]:
    def compute(batches: Batches) -> Batches:
        for batch in batches:
            for shard in batch.column(_SHARD).to_pylist():
                yield _row(shard, run_second(task, shard, kept[shard], pool))

    return compute


def _row(shard: int, result: object) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({_SHARD: [shard], "result": [pickle.dumps(result)]}, schema=_RESULT)


def _collected(rows: Any) -> dict[int, Any]:
    # Written by our own tasks of this build.
    return {row[_SHARD]: pickle.loads(bytes(row["result"])) for row in rows.collect()}  # noqa: S301


def _ddl(schema: pa.Schema) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)
