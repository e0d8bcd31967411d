"""Comparison of a build by shards with a build of all accounts at once."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli.checksum import checksums
from pipeline.published.snapshot import write_build
from pipeline.schema.tables import published
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse
from tests.computing import refresh


def build_whole(home: Home, clock: Clock, path: Path) -> None:
    """Build a landing folder in one warehouse, and write the published tables to a DuckDB file."""
    warehouse = Warehouse(home, is_replay=True)
    done = refresh(home, clock, "run", warehouse=warehouse, only=())
    assert done.failure is None, done.failure
    write_build(warehouse.connection, path, published())
    warehouse.close()


def differing(one: Path, other: Path) -> dict[str, tuple[object, object]]:
    """Tables whose checksums differ, with both."""
    left, right = ({each.table: each for each in checksums(path)} for path in (one, other))
    names = left.keys() | right.keys()
    return {name: (left.get(name), right.get(name)) for name in names if left.get(name) != right.get(name)}
