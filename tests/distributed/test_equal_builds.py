"""A build by shards of accounts equals a build of all accounts at once, by the checksum of every published table."""

from pathlib import Path

import pytest

from pipeline.cli.checksum import checksums
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from tests.distributed.serial import build_by_shards
from tests.lattice.combinations import FACETS, plain
from tests.lattice.truth import NOW
from tests.lattice.worlds import build, unusual


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("world")
    states = [
        plain(vendor, **{name: value})
        for vendor, facets in FACETS.items()
        for name, values in facets.items()
        for value in values
    ]
    built = build(folder, unusual(states), is_pool_shared=True)
    assert built.failure is None
    return Home(folder / "data")


@pytest.mark.parametrize("count", [1, 3, 7])
def test_every_table_of_a_world_of_unusual_accounts_is_equal(world: Home, tmp_path: Path, count: int) -> None:
    path = build_by_shards(world, count, tmp_path, Clock(NOW))
    whole = {each.table: each for each in checksums(world.current)}
    parts = {each.table: each for each in checksums(path)}
    assert {name: each for name, each in parts.items() if whole[name] != each} == {}
    assert whole.keys() == parts.keys()
