"""Builds into a lake, one shard after another in this process, each of which continues the one before."""

from __future__ import annotations

from pathlib import Path

from pipeline.distributed.build import DistributedBuild
from pipeline.settings.spark_target import SparkTarget
from pipeline.support.clock import Clock
from pipeline.support.home import Home, private_folder
from pipeline.warehouse.writer import Warehouse
from tests.computing import refresh
from tests.distributed.serial_plan import SerialPlan

SHARDS = 2


def build(home: Home, storage: Path, *, is_whole: bool = False) -> DistributedBuild:
    """Build and publish what is landed, as a run with a cluster does."""
    warehouse = Warehouse(home, path=home.path / "fleet.duckdb", is_kept=True, is_replay=True)
    made = DistributedBuild(
        plan=SerialPlan(),
        target=SparkTarget(shards=SHARDS, storage=f"file://{storage}"),
        warehouse=warehouse,
        clock=Clock(),
        is_whole=is_whole,
    )
    warehouse.steps = made
    done = refresh(home, Clock(), "run", warehouse=warehouse)
    warehouse.close()
    assert done.failure is None, done.failure
    made.finish()
    return made


def move(files: list[Path], source: Home, target: Home) -> None:
    """Move files of landing from one state folder to another."""
    for path in files:
        moved = target.landing / path.relative_to(source.landing)
        private_folder(moved.parent)
        path.rename(moved)
