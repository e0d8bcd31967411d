"""The European Central Bank's web server in the sandbox: its files of exchange rates, without a key."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.sandbox.ecb_files import EcbFiles
from pipeline.sandbox.world import World

PREFIX = "/ecb/stats/eurofxref"
"""Path of the folder with the files, after that of the real server."""


class RatesApp:
    """The ASGI application below PREFIX. `received` has the name of each file that was asked for, oldest first."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.received: list[str] = []
        self.spoil: Callable[[str], ASGIApp | None] = lambda _: None
        """Returns what answers instead of a file of this name, if anything."""
        self._files = EcbFiles(world.seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        name = scope["path"].removeprefix(f"{PREFIX}/")
        self.received.append(name)
        await (self.spoil(name) or self._answer(Request(scope).method, name))(scope, receive, send)

    def _answer(self, method: str, name: str) -> Response:
        if method not in ("GET", "HEAD"):
            return Response("Method Not Allowed", 405, {"Allow": "GET, HEAD"})
        found = self._files.file(name, self.world.now)
        if found is None:
            return Response("<!DOCTYPE html><title>Page not found</title>", 404, media_type="text/html")
        return Response(found[1], media_type=found[0])
