"""A standalone Spark cluster on loopback: a master, and workers as processes of their own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_START_SECONDS = 120


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def spark_home() -> Path:
    """Folder of the installed pyspark, which is a Spark distribution."""
    found = importlib.util.find_spec("pyspark")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


@dataclass
class Cluster:
    """A running cluster."""

    folder: Path
    environment: Mapping[str, str]
    port: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """URL of the master."""
        return f"spark://127.0.0.1:{self.port}"

    def executors(self) -> list[int]:
        """Process ids of the executors that run now."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                is_executor = b"CoarseGrainedExecutorBackend" in path.read_bytes()
                if is_executor and str(self.folder).encode() in (path.parent / "environ").read_bytes():
                    found.append(int(path.parent.name))
        return sorted(found)

    def kill_executor(self) -> int:
        """Kill one executor as a crash does; returns its process id. Waits until there is one."""
        deadline = time.monotonic() + _START_SECONDS
        while not (found := self.executors()):
            assert time.monotonic() < deadline, "no executor ran"
            time.sleep(0.05)
        os.kill(found[0], signal.SIGKILL)
        return found[0]


@contextlib.contextmanager
def running_cluster(folder: Path, workers: int = 2, **environment: str) -> Iterator[Cluster]:
    """A master and workers of one core each, ended with the block; `environment` is added for their tasks."""
    home = spark_home()
    mine = {
        **os.environ,
        **environment,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOG_DIR": str(folder),
        "SPARK_NO_DAEMONIZE": "1",
        "PYSPARK_PYTHON": sys.executable,
        "TMPDIR": str(folder),
    }
    cluster = Cluster(folder, mine, free_port())
    try:
        _start(cluster, "master", "org.apache.spark.deploy.master.Master", "--port", str(cluster.port))
        _wait(cluster.port)
        for number in range(workers):
            _start(
                cluster, f"worker-{number}", "org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "2g",
                "--work-dir", str(folder / f"work-{number}"), cluster.url,
            )  # fmt: skip
        yield cluster
    finally:
        for process in reversed(cluster.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def connect_server(cluster: Cluster) -> Iterator[str]:
    """URL of a Spark Connect server on the cluster, ended with the block."""
    port = free_port()
    command = [
        str(spark_home() / "bin" / "spark-submit"), "--master", cluster.url,
        "--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "--name", "connect",
        "--conf", "spark.connect.grpc.binding.address=127.0.0.1", "--conf", f"spark.connect.grpc.binding.port={port}",
        "--conf", "spark.ui.enabled=false", "spark-internal",
    ]  # fmt: skip
    with (cluster.folder / "connect.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=dict(cluster.environment), stdout=log, stderr=log, start_new_session=True
        )
    cluster.processes.append(process)
    _wait(port)
    yield f"sc://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _start(cluster: Cluster, name: str, what: str, *arguments: str) -> None:
    command = [str(spark_home() / "bin" / "spark-class"), what, "--host", "127.0.0.1", "--webui-port", str(free_port())]
    with (cluster.folder / f"{name}.log").open("wb") as log:
        cluster.processes.append(
            subprocess.Popen(
                [*command, *arguments], env=dict(cluster.environment), stdout=log, stderr=log, start_new_session=True
            )
        )


def _wait(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < deadline, "nothing listens"
        time.sleep(0.1)
