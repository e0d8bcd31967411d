"""A real cluster of two workers, with its storage on S3: the demo's landing gives the tables that one machine makes.

Executors and the run itself are killed; a build then ends equal, or readers keep the one before.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from pipeline.cli.checksum import checksums
from pipeline.lake.build_pointers import current_pointer
from pipeline.lake.open_store import open_store
from pipeline.orchestration.refresh import rebuild
from pipeline.support.home import Home
from tests.canary import found_in, leaks
from tests.cluster.conftest import KEYS
from tests.cluster.spark_cluster import Cluster
from tests.replay.expect import ARCHIVES, unpack

pytestmark = pytest.mark.long

_SHARDS = """
engine = "spark"
fx.source = "package"

[spark]
shards = 3

[accounts.wallet]
vendor = "deepvue"
api_key_env = "K"
client_id_env = "K"
"""


@dataclass
class Fleet:
    """A state folder whose tables the cluster computes."""

    home: Home
    url: str
    environment: Mapping[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the `drawdown` command."""
        return subprocess.Popen(
            [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
            env=dict(self.environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path.cwd(),
        )  # fmt: skip

    def run(self, *arguments: str) -> str:
        """Run the `drawdown` command; returns its output."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output[-4000:]
        return output

    def checksums(self) -> dict[str, str]:
        """Checksums of the published tables, as `drawdown checksum` reports them."""
        found = json.loads(self.run("checksum", "--json"))
        return {row["table"]: row["checksum"] for row in found}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A frozen landing, rebuilt on one machine."""
    home = Home(tmp_path_factory.mktemp("whole") / "data")
    unpack(ARCHIVES[-1], home)
    rebuild(home)
    return home


@pytest.fixture
def fleet(cluster: Cluster, s3_server: str, whole: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """The same landing, for the cluster, with an empty bucket."""
    bucket = f"bucket-{os.urandom(6).hex()}"
    httpx.put(f"{s3_server}/{bucket}").raise_for_status()
    home = Home(tmp_path / "data")
    home.path.mkdir()
    home.landing.symlink_to(whole.landing)
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(_SHARDS)
    secrets = {**KEYS, "AWS_ENDPOINT_URL": s3_server}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    environment = {
        **os.environ,
        **secrets,
        "DRAWDOWN_HOME": str(home.path),
        "DRAWDOWN_ACCOUNTS": str(accounts),
        "DRAWDOWN_SPARK_MASTER": cluster.url,
        "DRAWDOWN_STORAGE": f"s3://{bucket}/drawdown",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "K": "canary-account-Hq2Wn7Rt5Yb9",
    }
    return Fleet(home, f"s3://{bucket}/drawdown", environment)


def _expected(whole: Home) -> dict[str, str]:
    return {each.table: each.checksum for each in checksums(whole.current)}


def test_every_table_is_equal_and_no_key_is_left_anywhere(
    fleet: Fleet, whole: Home, cluster: Cluster, tmp_path: Path
) -> None:
    output = fleet.run("rebuild")
    assert fleet.checksums() == _expected(whole)
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
    assert fleet.checksums() == _expected(whole)


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
    assert fleet.checksums() == _expected(whole)


def _wait_for(fleet: Fleet, folder: str, process: subprocess.Popen[str]) -> None:
    """Wait until the storage has a file in a folder."""
    store = open_store(fleet.url)
    while next(iter(store.list(folder.rstrip("/"))), None) is None:
        assert process.poll() is None, process.communicate()[0][-4000:]
        time.sleep(0.02)
