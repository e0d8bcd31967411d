"""What a task does for one shard: bring its warehouse, run a stage, and store the results.

A shard's warehouse is kept in the storage between stages and builds, under a new name each time, so that an attempt
that dies changes nothing that another one reads.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa

from pipeline.alerts.account_facts import AccountFacts
from pipeline.alerts.rule_inputs import read_readings
from pipeline.distributed.build_state import WAREHOUSES, bring_published
from pipeline.distributed.exports import export, exported
from pipeline.distributed.shard_stages import FirstStage, SecondStage, first_stage, second_stage
from pipeline.distributed.shards import write_landing
from pipeline.lake.lake_parts import Part
from pipeline.lake.object_store import ObjectStore
from pipeline.lake.open_store import open_store
from pipeline.landing.store import OWN, RUNS
from pipeline.models.unpublished import published_build, record_build
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse

if TYPE_CHECKING:
    import polars as pl

LANDING: Final = "landing"
"""Folder of landing in the storage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildTask:
    """What every task of a build knows."""

    storage: str
    """URL of the storage."""
    build_id: str
    run_id: str
    count: int
    """Number of shards."""
    former_names: Mapping[str, str]
    """Last name of an account, by former name."""
    known_at: datetime | None
    is_replay: bool
    fixed_now: datetime | None
    """Instant of the run's clock, if it is fixed."""
    follows: str | None
    """Id of the build that this one continues or replaces; quarantined accounts keep their rows of it."""
    memory_bytes: int | None = None
    """Memory that DuckDB may use in a task; None for its own limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstResult:
    """Result of a shard's first stage."""

    stage: FirstStage
    answers: int
    """Vendors' answers that were loaded."""
    parts: tuple[Part, ...]
    is_whole: bool
    """Whether the parts are all that the shard has of their tables."""
    warehouse_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondResult:
    """Result of a shard's second stage."""

    stage: SecondStage
    readings: tuple[AccountFacts, ...]
    """What the rules of alerts look at."""
    parts: tuple[Part, ...]
    is_whole: bool
    """Whether the parts are all that the shard has of their tables."""
    warehouse_key: str


def run_first(task: BuildTask, shard: int, landed: Iterable[pa.Table], kept: str | None) -> FirstResult | None:
    """Load landing rows of a shard, each table of one endpoint, and make core.

    `kept` is the key of the shard's warehouse of the last build; None to begin with an empty one. Returns None if that
    warehouse cannot be continued from these rows alone, and needs all that landing has of the shard. Raises
    DrawdownError, ValueError and duckdb.Error as the stage does.
    """
    store = open_store(task.storage)
    with _shard_home() as home:
        runs: list[str] = []
        write_landing(home.landing, _noting_runs(landed, runs))
        with _opened(task, home, store, kept) as warehouse:
            if kept is not None and _is_older(warehouse, runs):
                return None
            stage = first_stage(warehouse)
            if kept is not None and stage.staging.report.is_reloaded:
                return None
            answers = _loaded_answers(warehouse) if stage.staging.report.fetches else 0
            is_whole = published_build(warehouse.connection) is None
            parts = _export(warehouse, task, shard, store, ("staging", "core"))
        key = _keep(task, shard, home, store)
    return FirstResult(stage=stage, answers=answers, parts=parts, is_whole=is_whole, warehouse_key=key)


def run_second(task: BuildTask, shard: int, kept: str, pool: pl.DataFrame | None) -> SecondResult:
    """Make the forecasts and marts of a shard, whose warehouse the first stage kept, and land its issues.

    Raises DrawdownError, ValueError and duckdb.Error as the stage does.
    """
    store = open_store(task.storage)
    with _shard_home() as home:
        with _opened(task, home, store, kept) as warehouse:
            stage = second_stage(warehouse, Clock(task.fixed_now), task.run_id, pool)
            readings = tuple(read_readings(warehouse.connection))
            is_whole = published_build(warehouse.connection) is None
            # What the first stage exported of quarantined accounts may have changed.
            parts = _export(warehouse, task, shard, store, ("forecasts", "marts"), "staging.quarantine")
            with warehouse.transaction() as connection:
                record_build(connection, task.build_id)
        for path in sorted(home.landing.rglob("*.parquet")):
            store.put(path, f"{LANDING}/{path.relative_to(home.landing).as_posix()}")
        key = _keep(task, shard, home, store)
    return SecondResult(stage=stage, readings=readings, parts=parts, is_whole=is_whole, warehouse_key=key)


def _noting_runs(landed: Iterable[pa.Table], runs: list[str]) -> Iterator[pa.Table]:
    """The same rows; `runs` gets the ids of the records of runs among them."""
    for rows in landed:
        if rows.column("vendor")[0].as_py() == OWN and rows.column("endpoint")[0].as_py() == RUNS:
            runs += rows.column("fetch_id").to_pylist()
        yield rows


def _is_older(warehouse: Warehouse, runs: list[str]) -> bool:
    """Whether a run is older than the newest that the warehouse has: accounts are then made of all runs again."""
    newest = warehouse.connection.execute("SELECT fetch_id FROM staging.build").fetchone()
    return bool(runs and newest and min(runs) < newest[0])


def _loaded_answers(warehouse: Warehouse) -> int:
    """Vendors' answers of the newest load."""
    [(count,)] = warehouse.connection.execute(
        "SELECT count(*) FROM staging.fetches WHERE vendor <> ? "
        "AND loaded_at_utc = (SELECT max(loaded_at_utc) FROM staging.fetches)",
        [OWN],
    ).fetchall()
    return int(count)


def _export(
    warehouse: Warehouse, task: BuildTask, shard: int, store: ObjectStore, layers: tuple[str, ...], *more: str
) -> tuple[Part, ...]:
    tables = [table for table in exported() if table.layer in layers or table.full_name in more]
    return tuple(export(warehouse.connection, tables, shard=shard, build_id=task.build_id, store=store))


@contextlib.contextmanager
def _shard_home() -> Iterator[Home]:
    """A state folder for the time of a task."""
    with tempfile.TemporaryDirectory(prefix="drawdown-shard-") as folder:
        yield Home(Path(folder))


@contextlib.contextmanager
def _opened(task: BuildTask, home: Home, store: ObjectStore, kept: str | None) -> Iterator[Warehouse]:
    if kept is not None:
        store.get(kept, home.warehouse)
    published = bring_published(store, home, task.follows)
    warehouse = Warehouse(home, known_at=task.known_at, is_replay=task.is_replay)
    try:
        if published is not None and not store.url.startswith("file:"):
            warehouse.connection.register_filesystem(cast("Any", published))
        if task.memory_bytes is not None:
            warehouse.connection.execute(f"SET memory_limit = '{task.memory_bytes} B'")
        yield warehouse
        warehouse.checkpoint()
    finally:
        warehouse.close()


def _keep(task: BuildTask, shard: int, home: Home, store: ObjectStore) -> str:
    key = f"{WAREHOUSES}/{task.build_id}/{shard:05d}-{os.urandom(4).hex()}.duckdb"
    store.put(home.warehouse, key)
    return key
