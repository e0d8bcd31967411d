"""A build that updates a copy of the previous one equals a whole build, in every table and every Parquet file."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pytest

from pipeline.cli.checksum import checksums
from pipeline.published.parquet_files import publish_parquet
from pipeline.published.snapshot import Build, publish, write_build
from pipeline.schema.checksums import PER_BUILD_TABLES, checksum_query
from pipeline.schema.tables import published
from pipeline.support.clock import Clock
from pipeline.warehouse.reader import open_reader
from tests.changed_select import changed_select
from tests.histories.comparing import CHANGES, State, land, with_another_meaning
from tests.histories.generator import history
from tests.histories.test_histories import PARTS, seeds_of

pytestmark = pytest.mark.long

_CHANGED = 4
"""Every how many histories a model's SELECT changes in the middle."""


@pytest.mark.parametrize("part", PARTS)
def test_updated_builds_equal_whole_ones(tmp_path: Path, template: Path, part: int) -> None:
    updated = whole = 0
    for seed in seeds_of(part):
        builds = _publish_each_step(seed, tmp_path / str(seed), template)
        whole += sum(build.why_whole is not None for build in builds)
        updated += sum(build.why_whole is None for build in builds)
    assert updated > whole
    print(f"soak: {updated} builds updated from the one before and {whole} written whole equal whole ones")


def _publish_each_step(seed: int, folder: Path, template: Path) -> list[Build]:
    drawn, chance = history(seed), random.Random(seed)  # noqa: S311 - repeatable, not secret
    state = State(folder, template)
    change = sorted(CHANGES)[seed % len(CHANGES)] if seed % _CHANGED == _CHANGED - 1 else None
    middle = len(drawn.steps) // 2
    builds = []
    for number, (fetches, at) in enumerate(zip(drawn.steps, drawn.clocks, strict=True)):
        land(fetches, state.home.landing)
        state.refresh(Clock(at))
        if change and number == middle:
            state.close()
            with changed_select(change, with_another_meaning(change)):
                state.open()
                state.refresh(Clock(at))
                builds.append(_published(state))
                state.close()
            state.open()
            state.refresh(Clock(at))
        # A run may end before it publishes.
        if chance.random() < 0.7 or number == len(drawn.steps) - 1:
            builds.append(_published(state))
    state.close()
    return builds


def _published(state: State) -> Build:
    """Publish, and compare the build and its Parquet files with a whole build of the same warehouse."""
    build = publish(state.warehouse.connection, state.home, published())
    publish_parquet(build.path, state.home, published())
    whole = state.home.path / "whole.duckdb"
    whole.unlink(missing_ok=True)
    write_build(state.warehouse.connection, whole, published())
    assert checksums(build.path) == checksums(whole), f"{build.record.base}: {build.record.rewritten}"
    with open_reader(whole) as connection, duckdb.connect() as files:
        files.execute("SET TimeZone = 'UTC'")
        for table in published():
            if table.full_name in PER_BUILD_TABLES:
                continue
            types = {each.name: str(each.column.type) for each in table.columns}
            path = state.home.parquet / f"{table.full_name}.parquet"
            source = f"read_parquet('{path}/*.parquet')" if table.published_by else f"read_parquet('{path}')"
            said = files.execute(checksum_query(source, types)).fetchall()
            assert said == connection.execute(checksum_query(table.full_name, types)).fetchall(), table.full_name
    return build
