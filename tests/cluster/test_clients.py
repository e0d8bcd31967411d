"""Other ways to a cluster than a master's URL: a Spark Connect server, and spark-submit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.support.home import Home
from tests.cluster.cluster_fleet import Fleet, expected
from tests.cluster.spark_cluster import Cluster, connect_server, spark_home

pytestmark = pytest.mark.long


def test_a_connect_server_makes_the_same_tables(fleet: Fleet, whole: Home, cluster: Cluster) -> None:
    with connect_server(cluster) as url:
        fleet.environment = {**fleet.environment, "DRAWDOWN_SPARK_MASTER": "", "DRAWDOWN_SPARK_REMOTE": url}
        fleet.run("rebuild")
    assert fleet.checksums() == expected(whole)


def test_spark_submit_makes_the_same_tables(fleet: Fleet, whole: Home, cluster: Cluster, tmp_path: Path) -> None:
    program = tmp_path / "build.py"
    program.write_text("from pipeline.cli import main\nmain()\n")
    done = subprocess.run(
        [spark_home() / "bin" / "spark-submit", "--master", cluster.url, program, "rebuild"],
        env={**fleet.environment, "SPARK_HOME": str(spark_home()), "PYTHONPATH": str(Path.cwd())},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert fleet.checksums() == expected(whole)
