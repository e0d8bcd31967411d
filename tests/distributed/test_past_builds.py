"""Builds that a lake keeps are read by an instant, and compared with this machine's by the engine that made them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.landing.store import day_folders
from pipeline.orchestration.refresh import rebuild
from pipeline.support.home import Home
from tests.distributed.builds import build, move
from tests.lake.conftest import needs
from tests.replay.expect import ARCHIVES, expectation, unpack

pytestmark = pytest.mark.long

_COUNT = "SELECT count(*) AS n FROM core.balance_snapshots"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path, datetime]:
    """A state folder with two builds in a lake, the lake, and an instant between the two."""
    needs("pyiceberg")
    folder = tmp_path_factory.mktemp("past")
    frozen, home = Home(folder / "frozen"), Home(folder / "data")
    unpack(ARCHIVES[-1], frozen)
    files = [path for each in day_folders(frozen.landing) for path in sorted(each.glob("*.parquet"))]
    move(files[: len(files) // 2], frozen, home)
    build(home, folder / "lake")
    time.sleep(0.01)
    between = datetime.now(UTC)
    move(files[len(files) // 2 :], frozen, home)
    build(home, folder / "lake")
    return home, folder / "lake", between


def _drawdown(home: Home, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DRAWDOWN_")}
    environment |= {"DRAWDOWN_HOME": str(home.path), "DRAWDOWN_ACCOUNTS": str(home.path / "none.toml"), **variables}
    return subprocess.run(
        [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_statements_see_the_build_of_then(homes: tuple[Home, Path, datetime]) -> None:
    home, _, between = homes
    then, now, last = (
        json.loads(_drawdown(home, "sql", _COUNT, "--format", "json", *more).stdout)[0]["n"]
        for more in (["--as-of", between.isoformat()], ["--as-of", datetime.now(UTC).isoformat()], [])
    )
    assert 0 < then < now == last


def test_status_and_checksums_are_those_of_the_build_of_then(homes: tuple[Home, Path, datetime]) -> None:
    home, _, between = homes
    then, now = (
        json.loads(_drawdown(home, "status", "--json", "--as-of", at.isoformat()).stdout)[0]["as_of_utc"]
        for at in (between, datetime.now(UTC))
    )
    assert then < now
    found, last = (
        {row["table"]: row["checksum"] for row in json.loads(_drawdown(home, "checksum", "--json", *more).stdout)}
        for more in (["--as-of", between.isoformat()], [])
    )
    assert found.keys() == last.keys()
    assert found["core.balance_snapshots"] != last["core.balance_snapshots"]


def test_an_instant_before_every_build_is_refused_with_the_oldest(homes: tuple[Home, Path, datetime]) -> None:
    done = _drawdown(homes[0], "sql", _COUNT, "--as-of", "2020-01-01")
    assert done.returncode != 0
    assert "no build of 2020-01-01T00:00:00Z; the oldest that is kept is" in " ".join(done.stderr.split())


def test_the_checksums_of_each_engine_are_those_of_its_own_build(homes: tuple[Home, Path, datetime]) -> None:
    home, lake, _ = homes
    published = home.current.readlink()
    wanted = json.loads(expectation(ARCHIVES[-1]).read_text())["tables"]
    storage = {"DRAWDOWN_STORAGE": f"file://{lake}"}
    refused = _drawdown(home, "checksum", "--engine", "duckdb")
    assert refused.returncode != 0
    assert "was made with the engine spark" in " ".join(refused.stderr.split())
    try:
        rebuild(home)
        for engine in ("duckdb", "spark"):
            rows = json.loads(_drawdown(home, "checksum", "--json", "--engine", engine, **storage).stdout)
            made = {row["table"]: f"{row['rows']} {row['checksum']}" for row in rows}
            assert {name: made[name] for name in wanted} == wanted
        kept = _drawdown(home, "sql", _COUNT, "--as-of", "2026-01-01")
        assert "only builds in a lake are kept" in " ".join(kept.stderr.split())
    finally:
        home.current.unlink()
        home.current.symlink_to(published)


def test_an_engine_needs_its_storage_and_a_file_has_none(homes: tuple[Home, Path, datetime]) -> None:
    home = homes[0]
    for arguments, words in (
        (["--engine", "spark"], "no storage is named"),
        (["--engine", "sparc"], "must be duckdb or spark"),
        (["x.duckdb", "--engine", "spark"], "leave out --engine and --as-of"),
    ):
        done = _drawdown(home, "checksum", *arguments)
        assert done.returncode == 2
        assert words in " ".join(done.stderr.split())
