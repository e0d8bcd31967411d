"""Builds by shards in this process, one shard after another."""

from __future__ import annotations

from pathlib import Path

from pipeline.distributed import fleet
from pipeline.distributed.exports import Export, export, exported
from pipeline.distributed.shard_stages import first_stage, second_stage
from pipeline.distributed.shards import Shards, write_part
from pipeline.landing import store
from pipeline.published.snapshot import write_build
from pipeline.schema.tables import published
from pipeline.staging.aliases import read_aliases
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse
from tests.computing import refresh


def build_by_shards(home: Home, count: int, folder: Path, clock: Clock) -> Path:
    """Build the landing of a state folder by shards; returns the DuckDB file of the published tables."""
    (folder / "fleet").mkdir(parents=True)
    (folder / "fleet" / "landing").symlink_to(home.landing)
    whole = Warehouse(Home(folder / "fleet"), is_replay=True)
    fleet.load_own(whole)
    shards = Shards(count, read_aliases(whole.connection))
    homes = [Home(folder / f"{shard}") for shard in range(count)]
    for day in store.day_folders(home.landing):
        for _, rows in store.each(day):
            for shard, own in shards.divide(rows):
                write_part(homes[shard].landing, own)
    parts = [Warehouse(each, is_replay=True) for each in homes]
    for each in parts:
        first_stage(each)
    fleet.show_exports(whole, _exports(parts, ("staging", "core")))
    done = refresh(whole.home, clock, "run", layers=["core"], warehouse=whole, only=[], fleet_only=True)
    assert done.failure is None, done.failure
    pool = fleet.learn(whole)
    seconds = [second_stage(each, clock, "run", pool) for each in parts]
    fleet.show_exports(whole, _exports(parts, ("staging", "forecasts", "marts")))
    fleet.add_months(whole, clock, "run", [each.outlooks for each in seconds])
    done = refresh(
        whole.home,
        clock,
        "run",
        layers=["marts", "alerts"],
        warehouse=whole,
        only=[],
        without=[fleet.DICTIONARY],
        fleet_only=True,
    )
    assert done.failure is None, done.failure
    path = folder / "published.duckdb"
    write_build(whole.connection, path, published())
    for each in (*parts, whole):
        each.close()
    return path


def _exports(parts: list[Warehouse], layers: tuple[str, ...]) -> list[Export]:
    tables = tuple(table for table in exported() if table.layer in layers)
    return [found for each in parts for found in export(each.connection, tables, each.home.path / "exports")]
