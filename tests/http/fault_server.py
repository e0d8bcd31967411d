"""A server that misbehaves byte by byte, over real sockets: nothing between a test and the wire.

    with FaultServer(reply(429, headers={"Retry-After": "3"}), reply(200, b"{}")) as server:
        ...
    assert len(server.requests) == 2

One script is played for each request, in order; the last is repeated. Every `reply` also echoes all request headers in
a header and in the status line, as some gateways do: logging those leaks the key.
"""

import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

PIECE = b"\0" * 65536


@dataclass(frozen=True, slots=True)
class Request:
    target: str
    headers: Mapping[str, str]
    raw: bytes
    connection: int
    """Number of its connection, from 0."""
    received_seconds: float
    """On the monotonic clock."""


@dataclass(slots=True)
class Wire:
    """Connection of one request, controlled by a script."""

    socket: socket.socket
    request: Request
    stopping: threading.Event

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Script = Callable[[Wire], bool | None]
"""Plays one answer; a true result keeps the connection open for the next request."""


def head(status: int, headers: Mapping[str, str], *, words: str = "Words") -> bytes:
    lines = [f"HTTP/1.1 {status} {words}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def reply(
    status: int = 200,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    keep: bool = False,
    echo: bool = False,
) -> Script:
    """A complete answer. `echo` puts the request's headers into the body, as in JSON."""

    def play(wire: Wire) -> bool:
        echoed = "; ".join(f"{name}={value}" for name, value in wire.request.headers.items())
        sent = json.dumps({"echo": echoed}).encode() if echo else body
        base = {
            "Content-Length": str(len(sent)),
            "Connection": "keep-alive" if keep else "close",
            "X-Echo": echoed,
        }
        wire.send(head(status, base | dict(headers or {}), words=f"Words {echoed}") + sent)
        return keep

    return play


def raw(data: bytes) -> Script:
    """Exactly these bytes, then the end of the connection."""

    def play(wire: Wire) -> None:
        wire.send(data)

    return play


def cut(data: bytes) -> Script:
    """Exactly these bytes, then a reset."""

    def play(wire: Wire) -> None:
        wire.send(data)
        time.sleep(0.05)  # a reset may overtake what was sent just before
        wire.reset()

    return play


def hang() -> Script:
    """Nothing, until the server stops."""

    def play(wire: Wire) -> None:
        wire.stopping.wait(30)

    return play


def drip(prefix: bytes, drop: bytes = b" ", *, every_seconds: float = 0.1) -> Script:
    """The prefix, then one drop after the other for as long as the client listens."""

    def play(wire: Wire) -> None:
        wire.send(prefix)
        while not wire.stopping.wait(every_seconds):
            wire.send(drop)

    return play


def flood(prefix: bytes, piece: bytes = PIECE) -> Script:
    """The prefix, then pieces without end, as fast as they are read."""

    def play(wire: Wire) -> None:
        wire.send(prefix)
        while not wire.stopping.is_set():
            wire.send(piece)

    return play


def pack(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


class FaultServer:
    """Listens on 127.0.0.1, or for `tls` on the same over TLS; one thread for each connection."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.scripts = scripts
        self.tls = tls
        self.requests: list[Request] = []
        self.received = b""
        """All bytes that any client sent, whether or not they make a request."""
        self.connection_count = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, connection, self.connection_count)
            self.connection_count += 1

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError), contextlib.closing(connection):
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with self._lock:
                self._open.add(connection)
            try:
                for request in self._read(connection, number):
                    with self._lock:
                        self.requests.append(request)
                        script = self.scripts[min(len(self.requests), len(self.scripts)) - 1]
                    if not script(Wire(connection, request, self._stopping)):
                        return
            finally:
                with self._lock:
                    self._open.discard(connection)
                connection.close()

    def _read(self, connection: socket.socket, number: int) -> Iterator[Request]:
        received = b""
        while piece := connection.recv(65536):
            self.received += piece
            received += piece
            while b"\r\n\r\n" in received:
                one, received = received.split(b"\r\n\r\n", 1)
                line, *lines = one.decode("latin-1").split("\r\n")
                headers = dict(entry.split(": ", 1) for entry in lines)
                yield Request(line.split(" ")[1], headers, one, number, time.monotonic())
