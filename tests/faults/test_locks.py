"""Two processes at one warehouse: the second waits, then names the holder; the holder's death releases the lock."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse

_WRITER = """
import sys
from pathlib import Path
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse
warehouse = Warehouse(Home(Path(sys.argv[1])))
warehouse.connection
print("open", flush=True)
sys.stdin.read()
"""
_READER = """
import sys
import duckdb
connection = duckdb.connect(sys.argv[1] + "/warehouse.duckdb", read_only=True)
print("open", flush=True)
sys.stdin.read()
"""


@dataclass
class Place:
    """A state folder with an empty warehouse."""

    home: Home


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Place:
    shutil.copy(template, tmp_path / "warehouse.duckdb")
    return Place(Home(tmp_path))


@contextmanager
def _holding(script: str, place: Place) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(place.home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.faults(36)
@pytest.mark.parametrize("script", [_WRITER, _READER], ids=["writer", "reader"])
def test_a_second_writer_waits_as_long_as_it_may_and_then_names_the_holder(place: Place, script: str) -> None:
    with _holding(script, place) as holder:
        started = time.monotonic()
        with pytest.raises(DrawdownError, match=f"process {holder.pid}") as caught:
            Warehouse(place.home, wait_seconds=1).connection  # noqa: B018 - opening is what is tested
        assert time.monotonic() - started >= 1
    if script == _READER:
        assert "published/current.duckdb" in str(caught.value)


@pytest.mark.faults(36)
@pytest.mark.parametrize("script", [_WRITER, _READER], ids=["writer", "reader"])
def test_the_death_of_the_holder_releases_the_lock(place: Place, script: str) -> None:
    with _holding(script, place) as holder:
        death = threading.Timer(0.5, os.kill, (holder.pid, signal.SIGKILL))
        death.start()
        waiting = Warehouse(place.home, wait_seconds=60)
        try:
            assert waiting.connection.execute("SELECT count(*) FROM staging.fetches").fetchall() == [(0,)]
        finally:
            waiting.close()
            death.join()
