"""`drawdown serve`: report, metrics and health of the newest build over HTTP, read-only.

There are three addresses only. Nothing is looked up by a path, so there is no folder to list or to escape from. Each
answer is read from the current build, which is never locked.
"""

from __future__ import annotations

import html
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, BinaryIO, Final

from pipeline.cli.app import complain
from pipeline.support.errors import DrawdownError, UsageError, first_line
from pipeline.support.home import Home
from pipeline.support.web_hosts import HOST_NAME, LOOPBACK_NAMES, LiteralHosts

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Permissions of our pages: inline scripts and styles, and no request to anywhere.
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PIECE_BYTES: Final = 256 * 1024
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_NO_REPORT: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Drawdown</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; color: #222; }
code { background: #f2f2f2; padding: .1em .3em; border-radius: 3px; }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd; }
  code { background: #333; }
  a { color: #8bf; }
}
</style>
</head>
<body>
<h1>Drawdown</h1>
<p>There is no report yet; <code>drawdown report</code> creates it.</p>
<p>{state}</p>
<ul>
<li><a href="/metrics">/metrics</a>: the accounts for Prometheus</li>
<li><a href="/healthz">/healthz</a>: whether the newest build is young enough</li>
</ul>
</body>
</html>
"""


class _Guarded:
    """Add security headers to every answer, also to refusals."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, guarded)


def application(home: Home, *, names: Sequence[str], max_age: timedelta) -> Starlette:
    """Create the web application for a state folder; `names` are the accepted host names."""
    from prometheus_client.exposition import choose_encoder
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route

    from pipeline.published.metrics import read_metrics
    from pipeline.support.last_run import read_last_run

    # Plain functions run in threads, so a slow disk blocks no other request.
    def report(_: Request) -> Response:
        try:
            # Each run replaces the file; an open one stays complete.
            file = (home.published / "report" / "index.html").open("rb")
        except FileNotFoundError:
            return HTMLResponse(_NO_REPORT.replace("{state}", html.escape(health(home, max_age)[1])))
        # In pieces, so that a slow client costs little memory.
        size = os.fstat(file.fileno()).st_size
        return StreamingResponse(
            _pieces(file), headers={"content-length": str(size)}, media_type="text/html; charset=utf-8"
        )

    def metrics(request: Request) -> Response:
        try:
            found = read_metrics(home.current, datetime.now(UTC), read_last_run(home))
        except DrawdownError as problem:
            return PlainTextResponse(f"{problem}\n", status_code=503)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(found), headers={"content-type": content_type})

    def healthz(_: Request) -> Response:
        is_well, words = health(home, max_age)
        return PlainTextResponse(f"{words}\n", status_code=200 if is_well else 503)

    return Starlette(
        routes=[
            Route(path, answer, methods=["GET"])
            for path, answer in (("/", report), ("/metrics", metrics), ("/healthz", healthz))
        ],
        middleware=[Middleware(_Guarded), Middleware(LiteralHosts, names=names)],
    )


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def health(home: Home, max_age: timedelta) -> tuple[bool, str]:
    """Whether the newest build exists, is readable and young enough; with a sentence."""
    import duckdb

    from pipeline.support.wording import duration
    from pipeline.warehouse.reader import open_reader

    try:
        with open_reader(home.current) as connection:
            found = connection.execute("SELECT value FROM marts.build_info WHERE item = 'built_at_utc'").fetchall()
        built_at = datetime.fromisoformat(found[0][0])
    except DrawdownError as problem:
        return False, str(problem)
    except (duckdb.Error, LookupError, TypeError, ValueError) as problem:
        return False, f"the newest build cannot be read: {first_line(problem)}"
    age = datetime.now(UTC) - built_at
    words = f"the newest build is of {built_at:%Y-%m-%dT%H:%M:%SZ}, {duration(max(age.total_seconds(), 0))} ago"
    if age <= max_age:
        return True, f"ok: {words}"
    return False, f"too old: {words}; the limit is {duration(max_age.total_seconds())}"


def serve(
    home: Home,
    *,
    host: str,
    port: int,
    is_public: bool,
    names: Sequence[str],
    max_age_minutes: int,
    ready: Callable[[str], None] = lambda url: print(f"serving {url} until interrupted", flush=True),
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` gets the address once it is bound.

    Raises UsageError for a host that other machines reach without an explicit request for that, DrawdownError if the
    address cannot be bound.
    """
    import uvicorn

    from pipeline.cli.slow_clients import ClientLimits, limited

    for name in names:
        if not HOST_NAME.fullmatch(name):
            raise UsageError(f"--name {name[:80]!a}: is not a host name")
    listener, is_loopback = _listen(host, port, is_public=is_public)
    with listener:
        known = [*LOOPBACK_NAMES, *names]
        if not is_loopback:
            known += [host, socket.gethostname(), socket.getfqdn()]
            complain(
                f"{host} is reached from other machines, and whoever reaches it reads every balance: there "
                "is no login and no encryption. Put a proxy with both before it"
            )
        config = uvicorn.Config(
            application(home, names=known, max_age=timedelta(minutes=max_age_minutes)),
            http=limited(ClientLimits()),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
        # uvicorn handles both signals while it runs, and raises them again when it ends.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listener.getsockname()[1]}/")
        server.run(sockets=[listener])


def _listen(host: str, port: int, *, is_public: bool) -> tuple[socket.socket, bool]:
    """Bind a socket; returns it and whether only this machine reaches it."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror:
        raise UsageError(f"--host {host}: this machine has no such address") from None
    is_loopback = ip_address(str(address[0])).is_loopback
    if not is_loopback and not is_public:
        raise UsageError(
            f"--host {host}: other machines reach it, and there is no login: whoever reaches it reads every balance. "
            "Add --public if that is wanted"
        )
    # With the protocol named, asyncio disables Nagle's delay.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as problem:
        listener.close()
        raise DrawdownError(
            f"port {port} on {host} is not available: {problem.strerror}; stop what uses it, or choose another with "
            "--port"
        ) from None
    return listener, is_loopback
