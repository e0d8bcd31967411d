"""A cluster of two workers and an S3 server, for all tests of this folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.spark_cluster import Cluster, running_cluster
from tests.lake.conftest import s3_server

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
