"""Which engine computes the tables, and the warehouse of a run with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from pipeline.schema.engines import DUCKDB, SPARK
from pipeline.settings import accounts_path, load
from pipeline.settings.spark_target import STORAGE_VARIABLE, SparkTarget, engine_of
from pipeline.support.clock import Clock
from pipeline.support.errors import UsageError
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse

_FLEET: Final = "fleet.duckdb"
"""File of the fleet's warehouse in the state folder."""


def spark_target() -> SparkTarget | None:
    """The cluster that the settings or the environment name; None for this machine.

    Raises UsageError for settings that cannot be used. A rebuild needs no accounts.toml.
    """
    if not accounts_path().exists():
        return SparkTarget().with_variables() if engine_of(DUCKDB) == SPARK else None
    settings = load()
    return settings.spark.with_variables() if engine_of(settings.engine) == SPARK else None


def lake_storage() -> str:
    """URL of the storage that the settings or the environment name, whichever engine they name.

    Raises UsageError if there is none.
    """
    storage = os.environ.get(STORAGE_VARIABLE) or (load().spark.storage if accounts_path().exists() else None)
    if not storage:
        raise UsageError(f"no storage is named: give spark.storage in accounts.toml, or set {STORAGE_VARIABLE}")
    return storage


def open_warehouse(
    home: Home,
    clock: Clock,
    *,
    path: Path | None = None,
    known_at: datetime | None = None,
    is_replay: bool = False,
    is_whole: bool = False,
    rebuild: Callable[[Home, str], object] | None = None,
) -> Warehouse:
    """The warehouse of a run: this machine's, or with a cluster that of the fleet, whose steps run on the cluster.

    `path` is a file to use in place of the state folder's own: it starts empty, and is removed when it is closed,
    unless it replaced the warehouse. `is_whole` has a cluster compute everything from landing. Raises UsageError as
    `spark_target` does.
    """
    target = spark_target()
    if target is None:
        return Warehouse(home, path=path, known_at=known_at, is_replay=is_replay, rebuild=rebuild)
    from pipeline.distributed.build import DistributedBuild
    from pipeline.distributed.spark_plan import SparkPlan

    fleet = home.path / _FLEET
    warehouse = Warehouse(
        home,
        path=fleet if known_at is None else path,
        is_kept=known_at is None,
        known_at=known_at,
        is_replay=is_replay,
        rebuild=lambda *_: fleet.unlink(),
    )
    warehouse.steps = DistributedBuild(
        plan=SparkPlan(target), target=target, warehouse=warehouse, clock=clock, is_whole=is_whole
    )
    return warehouse
