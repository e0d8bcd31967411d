"""During a request, no key can be printed or serialised: not by any of our objects, nor by a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import gc
import json
import pickle
import pprint
import traceback
import types
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

import pipeline
from pipeline.http import Patience
from pipeline.landing.fetching import Fetcher, FetchPolicy, calls_for
from pipeline.settings import Settings, load
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from tests.canary import forms

CANARY = "canary-4d8c1Kp7w2xZ"
PASSWORD = "canary-pg-7f3bZqW8"
TOKEN = "canary-hook-5512aB"
PACKAGE = Path(pipeline.__file__).parent
TOML = """
allow_http_loopback = true
notify_url_env = "TOLD"
publish.postgres = {{ dsn_env = "COPIED" }}

[accounts.main]
vendor = "vpsbg"
api_key_env = "A_KEY"
base_url = "{url}"

[accounts.wallet]
vendor = "deepvue"
api_key_env = "A_KEY"
client_id_env = "A_KEY"
base_url = "{url}"
"""

SHOWN: dict[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "format": lambda each: f"{each}",
    "pprint": pprint.pformat,
    "vars": vars,
    "asdict": dataclasses.asdict,
    "json": lambda each: json.dumps(each, default=lambda other: getattr(other, "__dict__", str(other))),
    "pickle": pickle.dumps,
    "copy": lambda each: repr(copy.copy(each)),
}


def shows(way: Callable[[Any], object], thing: object) -> bytes:
    """Results of printing or copying an object in every way; an error has text, too."""
    try:
        made = way(thing)
    except Exception as problem:
        made = "".join(traceback.format_exception(problem))
    return made if isinstance(made, bytes) else repr(made).encode()


def ours(captured: traceback.TracebackException | None) -> Iterator[traceback.FrameSummary]:
    """Frames of our own code in an exception and its causes."""
    while captured is not None:
        yield from (frame for frame in captured.stack if PACKAGE in Path(frame.filename).parents)
        captured = captured.__cause__ or captured.__context__


class Alive:
    """Our live objects at one instant."""

    def __init__(self) -> None:
        everything = gc.get_objects()
        self.objects = [
            each
            for each in everything
            if str(type(each).__module__).startswith("pipeline.") and not isinstance(each, type | types.ModuleType)
        ]
        running = [each for each in everything if isinstance(each, types.CoroutineType | types.GeneratorType)]
        self.locals = [
            dict(frame.f_locals)
            for frame in (getattr(each, "cr_frame", None) or getattr(each, "gi_frame", None) for each in running)
            if frame is not None and PACKAGE in Path(frame.f_code.co_filename).parents
        ]


@pytest.fixture
def asked() -> Iterator[tuple[str, list[Callable[[], None]]]]:
    """A vendor's address, and an action while its client waits for an answer."""
    while_waiting: list[Callable[[], None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            for each in while_waiting:
                each()
            body = json.dumps({"key": self.headers["authorization"] or self.headers["x-api-key"]}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the client may be gone
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", while_waiting
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def settings(asked: tuple[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("A_KEY", CANARY)
    monkeypatch.setenv("TOLD", f"json://127.0.0.1:1/{TOKEN}")
    monkeypatch.setenv("COPIED", f"postgresql://someone:{PASSWORD}@127.0.0.1:1/nowhere")
    path = tmp_path / "accounts.toml"
    path.write_text(TOML.format(url=asked[0]))
    return load(path)


def fetcher(settings: Settings, folder: Path) -> Fetcher:
    policy = FetchPolicy(patience=Patience(deadline_seconds=30, attempts=1))
    return Fetcher(home=Home(folder), clock=Clock(), run_id="1", allow_http_loopback=True, policy=policy)


def test_no_object_of_ours_shows_a_key_while_a_request_is_under_way(
    asked: tuple[str, list[Callable[[], None]]], settings: Settings, tmp_path: Path
) -> None:
    seen: list[Alive] = []
    asked[1].append(lambda: seen.append(Alive()))
    assert settings.postgres is not None
    held = [settings, settings.postgres, settings.postgres.dsn(), settings.notify_url("TOLD")]
    calls = calls_for(settings.accounts.values(), {("vpsbg", "balance"), ("deepvue", "wallet")})
    assert len(calls) == 2

    visits = fetcher(settings, tmp_path / "data").fetch(calls)

    assert {visit.outcome for visit in visits} == {"unauthorised"}
    alive = seen[0]
    kinds = {type(each).__name__ for each in alive.objects}
    assert kinds >= {
        "AccountSettings", "Call", "Caller", "Client", "Fetcher", "Get", "Network", "PostgresTarget", "RateLimits",
        "Redactor", "Secret", "Settings", "_Credentials",
    }  # fmt: skip
    assert {"exchange", "caller"} <= {name for each in alive.locals for name in each}
    wanted = {form for secret in (CANARY, PASSWORD, TOKEN) for form in forms(secret)}
    things = [(thing, SHOWN) for thing in [*alive.objects, *held, *visits]]
    # An error reporter keeps the repr of a variable, and no more.
    things += [(each, {"repr": repr, "pprint": pprint.pformat}) for each in alive.locals]
    for thing, ways in things:
        for name, way in ways.items():
            shown = shows(way, thing)
            assert not [form for form in wanted if form in shown], f"{type(thing).__qualname__} shows a key to {name}"


def test_a_request_that_is_broken_off_leaves_no_key_in_its_traceback(
    asked: tuple[str, list[Callable[[], None]]], settings: Settings, tmp_path: Path
) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    is_over = Event()

    def cancel_visits() -> None:
        for task in asyncio.all_tasks():
            if "_work" in repr(task.get_coro()):
                task.cancel()

    def break_off() -> None:
        loops[0].call_soon_threadsafe(cancel_visits)
        # No answer meanwhile: this vendor would echo the key.
        is_over.wait(timeout=60)

    asked[1].append(break_off)
    (call,) = calls_for(settings.accounts.values(), {("vpsbg", "balance")})
    fetching = fetcher(settings, tmp_path / "data")

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await fetching._fetch([call])

    with pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(run())
    is_over.set()
    frames = list(ours(traceback.TracebackException.from_exception(caught.value, capture_locals=True)))
    assert {"_fetch", "_visit", "get", "answer", "_exchange"} <= {frame.name for frame in frames}
    captured = repr([frame.locals for frame in frames])
    assert "Secret(A_KEY)" in captured
    assert not [form for form in forms(CANARY) if form in captured.encode()]
