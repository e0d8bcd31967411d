"""One request and the socket under it, for answers as HTTP allows them and for answers as it does not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.sandbox.api._api_base import ApiResponse
from pipeline.sandbox.encoding import encode

Message = Any
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = {"content-type": "application/json"}


@dataclass(slots=True, eq=False)
class Exchange:
    """One request that a fault may spoil, with the answer that it would have got."""

    vendor: str
    path: str
    url: str
    query: Mapping[str, str]
    key: str
    answer: ApiResponse
    again: Callable[[Mapping[str, str]], ApiResponse]
    """The answer to the same request with another query."""
    error: Callable[[int, str], ApiResponse]
    receive: Receive
    send: Send
    status: int | None = None
    """The status that was sent; None while none was."""

    async def give(self, answer: ApiResponse) -> None:
        """Send an answer as JSON."""
        await self.reply(answer.status, encode(answer.body), {**JSON, **answer.headers})

    async def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a whole response."""
        await self.start(status, {**headers, "content-length": str(len(body))})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status and the headers; without a content-length the body will be chunked."""
        self.status = status
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})

    async def chunk(self, body: bytes) -> None:
        """Send a piece of the body, with more to come."""
        await self.send({"type": "http.response.body", "body": body, "more_body": True})

    async def raw(self, data: bytes, *, reset: bool = False) -> None:
        """Write bytes to the socket behind the server's back, then close it, or reset it."""
        if data:
            self.status = int(data.split(b" ", 2)[1])
            self._transport().write(data)
        if reset:
            self.cut_off()
        else:
            self._transport().close()
        await self.gone(None)

    def cut_off(self) -> None:
        """Reset the connection."""
        self._transport().abort()

    def _transport(self) -> asyncio.Transport:
        # No ASGI message can break HTTP itself, so this reaches for the connection that `receive` belongs to.
        transport: asyncio.Transport = self.receive.__self__.transport  # type: ignore[attr-defined]
        return transport

    async def gone(self, seconds: float | None) -> bool:
        """Wait at most `seconds`, or without limit, for the client to leave; tell whether it did."""
        try:
            while True:
                message = await asyncio.wait_for(self.receive(), seconds)
                if message["type"] == "http.disconnect":
                    return True
        except TimeoutError:
            return False
