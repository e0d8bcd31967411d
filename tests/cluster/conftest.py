"""A cluster of two workers and an S3 server, for all tests of this folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.orchestration.refresh import rebuild
from pipeline.support.home import Home
from tests.cluster.cluster_fleet import SETTINGS, Fleet
from tests.cluster.spark_cluster import Cluster, running_cluster
from tests.lake.conftest import s3_server
from tests.replay.expect import ARCHIVES, unpack

__all__ = ["s3_server"]

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIACANARYCLUSTER0001",
    "AWS_SECRET_ACCESS_KEY": "canary-cluster-Vb7Nq2Xs5Tk8Wp4Z",
    "AWS_REGION": "eu-central-1",
}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, s3_server: str) -> Iterator[Cluster]:
    """A cluster whose tasks can reach the S3 server."""
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("the extra drawdown[spark] is not installed")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed, which Spark needs")
    paths = os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
    with running_cluster(
        tmp_path_factory.mktemp("cluster"), AWS_ENDPOINT_URL=s3_server, PYTHONPATH=paths, **KEYS
    ) as running:
        yield running


@pytest.fixture(scope="session")
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
    accounts.write_text(SETTINGS)
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
