"""Builds by shards in this process, one shard after another."""

from __future__ import annotations

from pathlib import Path

from pipeline.distributed.build import DistributedBuild
from pipeline.published.snapshot import write_build
from pipeline.schema.tables import published
from pipeline.settings.spark_target import SparkTarget
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse
from tests.computing import refresh
from tests.distributed.serial_plan import SerialPlan


def build_by_shards(landing: Path, count: int, folder: Path, clock: Clock) -> Path:
    """Build a landing folder by shards; returns a DuckDB file of the published tables."""
    home = Home(folder / "fleet")
    home.path.mkdir(parents=True)
    home.landing.symlink_to(landing)
    target = SparkTarget(shards=count, storage=f"file://{folder}/lake")
    warehouse = Warehouse(home, is_replay=True)
    warehouse.steps = DistributedBuild(
        plan=SerialPlan(), target=target, warehouse=warehouse, clock=clock, is_whole=True
    )
    done = refresh(home, clock, "run", warehouse=warehouse, only=[])
    assert done.failure is None, done.failure
    path = folder / "published.duckdb"
    write_build(warehouse.connection, path, published())
    warehouse.close()
    return path
