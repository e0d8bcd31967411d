"""A real cluster of two workers, with its storage on S3: the demo's landing gives the tables that one machine makes.

Executors and the run itself are killed; a build then ends equal, or readers keep the one before.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from pipeline.lake.build_pointers import current_pointer
from pipeline.lake.open_store import open_store
from pipeline.support.home import Home
from tests.canary import found_in, leaks
from tests.cluster.cluster_fleet import Fleet, expected
from tests.cluster.conftest import KEYS
from tests.cluster.spark_cluster import Cluster

pytestmark = pytest.mark.long


def test_every_table_is_equal_and_no_key_is_left_anywhere(
    fleet: Fleet, whole: Home, cluster: Cluster, tmp_path: Path
) -> None:
    output = fleet.run("rebuild")
    assert fleet.checksums() == expected(whole)
    output += fleet.run("status", "--json") + fleet.run("sql", "SELECT count(*) FROM core.spend_daily")
    store = open_store(fleet.url)
    secrets = [KEYS["AWS_SECRET_ACCESS_KEY"], fleet.environment["K"]]
    assert found_in([(each.key, store.read(each.key)) for each in store.list()], secrets) == []
    assert found_in([(path.name, path.read_bytes()) for path in cluster.folder.glob("*.log")], secrets) == []
    assert leaks(secrets, fleet.home.path, said={"output": output}) == []


def test_an_executor_that_dies_while_landing_is_loaded_changes_nothing(
    fleet: Fleet, whole: Home, cluster: Cluster
) -> None:
    process = fleet.start("rebuild")
    # A part of a table is stored: shards are being loaded, and others not yet.
    _wait_for(fleet, "tables/", process)
    cluster.kill_executor()
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output[-4000:]
    assert fleet.checksums() == expected(whole)


def test_a_run_that_dies_during_the_commit_leaves_no_half_of_a_build(
    fleet: Fleet, whole: Home, cluster: Cluster
) -> None:
    process = fleet.start("rebuild")
    _wait_for(fleet, "tables/core/accounts/metadata/", process)
    cluster.kill_executor()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert current_pointer(open_store(fleet.url)) is None
    assert not fleet.home.current.exists()
    fleet.run("rebuild")
    assert fleet.checksums() == expected(whole)


def _wait_for(fleet: Fleet, folder: str, process: subprocess.Popen[str]) -> None:
    """Wait until the storage has a file in a folder."""
    store = open_store(fleet.url)
    while next(iter(store.list(folder.rstrip("/"))), None) is None:
        assert process.poll() is None, process.communicate()[0][-4000:]
        time.sleep(0.02)
