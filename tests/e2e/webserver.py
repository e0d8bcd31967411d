"""Dagster as on a server: its web server, daemon and code server, with runs as separate processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import Bench

CLONE = Path(__file__).parents[2]


@contextmanager
def webserver(bench: Bench) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    dagster_home = bench.home.dagster
    bench.command("init", "--dagster", DAGSTER_HOME=str(dagster_home))
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pipeline.orchestration.web_interface",
            "dev",
            "-w",
            "workspace.yaml",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ],
        cwd=CLONE,
        env={**os.environ, **bench.environment, "DAGSTER_HOME": str(dagster_home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port}/graphql"
    finally:
        os.killpg(server.pid, signal.SIGINT)
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            # If the tests were started with interrupts ignored, so are they in the children.
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(timeout=15)


def _ask(url: str, query: str, **variables: Any) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - our own loopback server
        url,
        data=json.dumps({"query": query, "variables": variables}).encode(),
        headers={"Content-Type": "application/json"},
    )
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return dict(json.load(answer)["data"])
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def wait_for(url: str) -> None:
    """Wait until the server answers."""
    _ask(url, "{ version }")


def run_job(url: str, job: str, run_config: dict[str, Any] | None = None) -> str:
    """Launch a job as the web interface does, wait for its end, and return the run's status."""
    selector = {"repositoryName": "__repository__", "repositoryLocationName": "drawdown", "pipelineName": job}
    launched = _ask(
        url,
        "mutation Launch($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) "
        "{ __typename ... on LaunchRunSuccess { run { runId } } } }",
        p={"selector": selector, "mode": "default", "runConfigData": run_config or {}},
    )["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    status = ""
    deadline = time.monotonic() + 600
    while status not in ("SUCCESS", "FAILURE", "CANCELED") and time.monotonic() < deadline:
        time.sleep(0.5)
        status = _ask(
            url,
            "query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }",
            id=launched["run"]["runId"],
        )["runOrError"]["status"]
    return status
