"""Builds that continue the one before: equal to a whole build, and only changed months are stored again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.distributed.build import DistributedBuild
from pipeline.landing.store import OWN, day_folders
from pipeline.settings.spark_target import SparkTarget
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse
from tests.distributed.builds import SHARDS, build, move
from tests.distributed.serial_plan import SerialPlan
from tests.lake.conftest import needs
from tests.replay.expect import ARCHIVES, expectation, found, unpack

pytestmark = pytest.mark.long


@pytest.fixture
def frozen(tmp_path: Path) -> Home:
    """A state folder with a frozen landing."""
    needs("pyiceberg")
    home = Home(tmp_path / "frozen")
    unpack(ARCHIVES[-1], home)
    return home


def test_a_build_that_continues_another_equals_a_whole_one_and_keeps_the_files_of_other_months(
    frozen: Home, tmp_path: Path
) -> None:
    home, storage = Home(tmp_path / "data"), tmp_path / "lake"
    files = [path for folder in day_folders(frozen.landing) for path in sorted(folder.glob("*.parquet"))]
    late = files[len(files) // 2 :]
    move([path for path in files if path not in late], frozen, home)
    first = build(home, storage).lake.current()
    assert first is not None
    move(late, frozen, home)
    second = build(home, storage).lake.current()
    assert second is not None
    assert found(home.current) == json.loads(expectation(ARCHIVES[-1]).read_text())["tables"]
    kept = {file.key for file in first.files} & {file.key for file in second.files}
    assert {key.split("/")[2] for key in kept} >= {"fx_rates"}
    assert all(file.key in kept or file.key.split("/")[-1].startswith(second.build_id) for file in second.files)


def test_runs_that_another_machine_uploads_late_change_accounts_as_in_a_whole_build(
    frozen: Home, tmp_path: Path
) -> None:
    home, storage = Home(tmp_path / "data"), tmp_path / "lake"
    files = [path for folder in day_folders(frozen.landing) for path in sorted(folder.glob("*.parquet"))]
    early = files[: len(files) // 2]
    move([path for path in files if path not in early], frozen, home)
    build(home, storage)
    move(early, frozen, home)
    build(home, storage)
    assert found(home.current) == json.loads(expectation(ARCHIVES[-1]).read_text())["tables"]


def test_a_build_of_nothing_new_stores_no_month_again(frozen: Home, tmp_path: Path) -> None:
    storage = tmp_path / "lake"
    first, second = (build(frozen, storage).lake.current() for _ in range(2))
    assert first is not None
    assert second is not None
    by_month = {file.key for file in second.files if file.month and "fetches" not in file.key}
    assert by_month == {file.key for file in first.files if file.month and "fetches" not in file.key}
    assert found(frozen.current) == json.loads(expectation(ARCHIVES[-1]).read_text())["tables"]


def test_what_several_machines_landed_is_built_together(frozen: Home, tmp_path: Path) -> None:
    other, storage = Home(tmp_path / "other"), tmp_path / "lake"
    vendors = sorted(path.name for path in frozen.landing.iterdir() if path.name != OWN)
    files = [path for folder in day_folders(frozen.landing, vendors[0]) for path in sorted(folder.glob("*.parquet"))]
    move(files, frozen, other)
    target = SparkTarget(shards=SHARDS, storage=f"file://{storage}")
    poller = DistributedBuild(plan=SerialPlan(), target=target, warehouse=Warehouse(other), clock=Clock())
    poller.finish()
    build(frozen, storage)
    assert found(frozen.current) == json.loads(expectation(ARCHIVES[-1]).read_text())["tables"]


def test_a_build_does_not_replace_one_that_it_does_not_know(frozen: Home, tmp_path: Path) -> None:
    storage = tmp_path / "lake"
    newest = build(frozen, storage)
    late = DistributedBuild(
        plan=SerialPlan(),
        target=SparkTarget(shards=SHARDS, storage=f"file://{storage}"),
        warehouse=Warehouse(frozen),
        clock=Clock(),
    )
    late.lake.begin(late.build_id)
    with pytest.raises(DrawdownError, match=f"another run has published build {newest.build_id}"):
        late.lake.commit(late.build_id, [], follows=None)
