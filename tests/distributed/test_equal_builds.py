"""A build by shards of accounts equals a build of all accounts at once, by the checksum of every published table.

`DRAWDOWN_TEST_SHARD_HISTORIES` sets the number of random histories.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.cli.checksum import ALL_TABLES, checksums
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from tests.distributed.comparing_builds import build_whole, differing
from tests.distributed.serial import build_by_shards
from tests.histories.comparing import land
from tests.histories.generator import history
from tests.lattice.combinations import FACETS, plain
from tests.lattice.truth import NOW
from tests.lattice.worlds import build, unusual
from tests.replay.expect import ARCHIVES, expectation, found, unpack

pytestmark = pytest.mark.long

HISTORIES = int(os.environ.get("DRAWDOWN_TEST_SHARD_HISTORIES", "6"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A state folder with accounts in unusual states, published."""
    folder = tmp_path_factory.mktemp("world")
    states = [
        plain(vendor, **{name: values[-1]}) for vendor, facets in FACETS.items() for name, values in facets.items()
    ]
    built = build(folder, unusual(states[::2]), is_pool_shared=True)
    assert built.failure is None
    return Home(folder / "data")


@pytest.mark.parametrize("count", [1, 3, 7])
def test_unusual_accounts(world: Home, tmp_path: Path, count: int) -> None:
    assert differing(build_by_shards(world.landing, count, tmp_path, Clock(NOW)), world.current) == {}


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_a_frozen_landing(archive: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "frozen")
    unpack(archive, home)
    path = build_by_shards(home.landing, 3, tmp_path / "shards", Clock())
    assert found(path) == json.loads(expectation(archive).read_text())["tables"]


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_a_random_history(seed: int, tmp_path: Path) -> None:
    drawn = history(seed)
    home = Home(tmp_path / "whole")
    for fetches in drawn.steps:
        land(fetches, home.landing)
    clock = Clock(drawn.clocks[-1])
    whole = tmp_path / "whole.duckdb"
    build_whole(home, clock, whole)
    assert all(each.rows > 0 for each in checksums(whole) if each.table == ALL_TABLES)
    assert differing(build_by_shards(home.landing, 2, tmp_path / "shards", clock), whole) == {}
