"""Host names that a web server of this machine answers to: its own, so that no page on the Internet reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_BRACKETED: Final = re.compile(r"\[([0-9a-fA-F:.]+)\](:[0-9]+)?\Z")


class LiteralHosts:
    """Accept requests to an IP address or a known host name.

    A page on the Internet can make its own host name resolve to this machine, and then read the answers in a browser.
    That requires a name, so an IP address is always safe.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        self._app = app
        self._named = TrustedHostMiddleware(app, allowed_hosts=list(names), www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 400."""
        host = _header(scope, b"host")
        bracketed = _BRACKETED.match(host)
        inside = bracketed[1] if bracketed else host.partition(":")[0]
        try:
            ip_address(inside)
        except ValueError:
            await self._named(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class SameOrigin:
    """Refuse requests that a page of another site makes in a browser: such a request names the page's origin.

    A browser sends such requests, WebSockets among them, and only hides the answer from the page; actions that they
    start are carried out.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 403; a WebSocket is refused by closing it."""
        from starlette.responses import PlainTextResponse

        origin = _header(scope, b"origin")
        # A proxy may have terminated TLS, so the schemes may differ.
        if origin and urlsplit(origin).netloc.lower() != _header(scope, b"host").lower():
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await PlainTextResponse("Asked by a page of another site", status_code=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _header(scope: Scope, wanted: bytes) -> str:
    found = next((value for name, value in scope.get("headers", ()) if name == wanted), b"")
    return bytes(found).decode("latin-1")
