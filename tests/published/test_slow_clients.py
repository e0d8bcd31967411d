"""Slow clients of `drawdown serve`, over real sockets: they keep no others out, and do not stay for ever."""

from __future__ import annotations

import contextlib
import resource
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from select import select

import duckdb
import httpx
import pytest
import uvicorn

from pipeline.cli.serving import application
from pipeline.cli.slow_clients import ClientLimits, limited
from pipeline.support.home import Home, private_folder
from tests.published.test_serving import published_at, serving
from tests.staging.workshops import template

__all__ = ["template"]

_BEGUN = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
_HURRIED = ClientLimits(request_seconds=0.8, answer_seconds=0.8, per_address=4, in_total=6)


class Place:
    """A state folder with a build, and a report larger than any socket's buffers."""

    def __init__(self, home: Home) -> None:
        self.home = home


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, connection: duckdb.DuckDBPyConnection, template: Path) -> Place:
    home = Home(tmp_path_factory.mktemp("slow"))
    shutil.copy(template, home.warehouse)
    published_at(connection, home, datetime.now(UTC) - timedelta(minutes=10))
    (private_folder(home.published / "report") / "index.html").write_bytes(b"<!doctype html>" + b"x" * 30_000_000)
    return Place(home)


@contextlib.contextmanager
def clients(url: str, number: int, begin: bytes, *, source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """A number of connections that have sent `begin`, and read nothing."""
    host, port = url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(number):
            each = stack.enter_context(socket.create_connection((host, int(port)), 10, (source, 0)))
            # One of the replaced ones is closed by now.
            with contextlib.suppress(OSError):
                each.sendall(begin)
            made.append(each)
        yield made


@contextlib.contextmanager
def hurried(home: Home, limits: ClientLimits = _HURRIED) -> Iterator[str]:
    """The same application with limits that a test can wait for."""
    app = application(home, names=["127.0.0.1"], max_age=timedelta(hours=1))
    config = uvicorn.Config(
        app, port=0, http=limited(limits), ws="none", lifespan="off", log_config=None, timeout_keep_alive=30
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield "http://127.0.0.1:%d" % server.servers[0].sockets[0].getsockname()[1]  # noqa: UP031
    finally:
        server.should_exit = True
        thread.join()


def ends(connection: socket.socket) -> bytes:
    """Data of a connection until the server closes it."""
    connection.settimeout(20)
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1_000_000):
            got += piece
    return got


@pytest.mark.faults(56)
@pytest.mark.parametrize(
    ("begin", "what"),
    [
        (b"", "say nothing"),
        (_BEGUN, "drip their headers"),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "read nothing"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_scrape_is_answered_however_many_slow_clients_there_are(place: Place, begin: bytes, what: str) -> None:
    with serving(place.home) as (url, _), clients(url, 200, begin) as slow:
        for _ in range(3):
            for each in slow[-20:] if begin == _BEGUN else ():
                with contextlib.suppress(OSError):
                    each.sendall(b"x")
            assert httpx.get(f"{url}/metrics", timeout=20).status_code == 200, what


@pytest.mark.parametrize(
    "begin",
    [b"", _BEGUN, b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nx", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"],
    ids=["silent", "headers", "body", "answer"],
)  # fmt: skip
def test_a_dripping_client_is_cut_off_at_the_deadline(place: Place, begin: bytes) -> None:
    with hurried(place.home) as url, clients(url, 1, begin) as (slow,):
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                with contextlib.suppress(OSError):
                    slow.send(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start() if begin.startswith((b"GET /m", b"POST")) else None
        # Longer than any deadline here, before anything is read.
        time.sleep(2)
        got = ends(slow)
        stop.set()
        if dripping.ident:
            dripping.join()
        assert len(got) < 30_000_000
        assert httpx.get(f"{url}/metrics").status_code == 200


def test_a_client_within_its_time_may_pause_and_keep_its_connection(place: Place) -> None:
    patient = ClientLimits(request_seconds=5, answer_seconds=5, per_address=4, in_total=6)
    with hurried(place.home, patient) as url, httpx.Client() as client:
        for _ in range(3):
            assert client.get(f"{url}/healthz").status_code == 200
            time.sleep(0.2)
        with clients(url, 1, _BEGUN) as (slow,):
            time.sleep(0.3)
            slow.sendall(b"x\r\nConnection: close\r\n\r\n")
            assert ends(slow).startswith(b"HTTP/1.1 200 ")


def test_each_address_has_a_cap_and_makes_room_for_others(place: Place) -> None:
    patient = ClientLimits(request_seconds=60, answer_seconds=60, per_address=4, in_total=6)
    with (
        hurried(place.home, patient) as url,
        clients(url, 2, _BEGUN, source="127.0.0.2") as others,
        clients(url, 10, _BEGUN, source="127.0.0.3") as greedy,
    ):
        # Its own connections are closed, and not others'. The order of simultaneous ones is undefined.
        deadline = time.monotonic() + 20
        while len(select(greedy, [], [], 0.05)[0]) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        closed = select(greedy, [], [], 0)[0]
        assert [ends(each) for each in closed] == [b""] * 6
        for each in {*others, *greedy} - {*closed}:
            each.sendall(b"x\r\nConnection: close\r\n\r\n")
            assert ends(each).startswith(b"HTTP/1.1 200 ")


def test_limits_leave_room_below_the_usual_limit_of_open_files() -> None:
    usual, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert ClientLimits().in_total * 2 < min(usual, 1024)
