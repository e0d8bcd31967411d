"""Storages to test: a folder, and a real S3 server on loopback (moto), which checks no keys unless it is asked to."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from pipeline.lake.object_store import ObjectStore
from pipeline.lake.open_store import open_store
from tests.canary import found_in, leaks
from tests.published.conftest import database  # noqa: F401 - a fixture

SECRET = "canary-s3-Zq7wPx2vK9mN4tR8"
TOKEN = "canary-session-Lk3jHg6fDs1aQw5e"
KEY_ID = "AKIACANARY7X2M9QPLZT"
WITHOUT = "the extra drawdown[spark] is not installed"


def needs(module: str) -> None:
    """Skip the test where a package is absent."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(
            WITHOUT
            if module in ("pyiceberg", "obstore")
            else f"tests/lake/requirements.lock is not installed: {module}"
        )


@dataclass
class Place:
    """A storage, and a folder for everything else of the test."""

    url: str
    folder: Path
    said: dict[str, str] = field(default_factory=dict)
    """Output in which there must be no key either."""

    @property
    def store(self) -> ObjectStore:
        return open_store(self.url)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an S3 server."""
    needs("moto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                httpx.get(f"{address}/moto-api/", timeout=5)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def s3_place(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A storage in a new bucket, and the canary sweep after the test."""
    bucket = f"bucket-{os.urandom(6).hex()}"
    # No signature is needed, and none is checked.
    httpx.put(f"{s3_server}/{bucket}").raise_for_status()
    for name, value in environment(s3_server).items():
        monkeypatch.setenv(name, value)
    place = Place(f"s3://{bucket}/lake", tmp_path)
    yield place
    httpx.post(f"{s3_server}/moto-api/reset-auth", content=b"1000000000")
    for name, value in environment(s3_server).items():
        monkeypatch.setenv(name, value)
    contents = [(each.key, place.store.read(each.key)) for each in place.store.list()]
    assert found_in(contents, [SECRET, TOKEN]) == []
    assert leaks([SECRET, TOKEN], tmp_path, said=place.said) == []


def environment(server: str) -> dict[str, str]:
    """Variables with which a process reaches the server."""
    return {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": server,
    }


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A storage of each kind."""
    if request.param == "file":
        return Place(f"file://{tmp_path}/storage", tmp_path)
    found: Place = request.getfixturevalue("s3_place")
    return found
