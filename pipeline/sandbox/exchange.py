"""One request and its socket, for valid HTTP answers and for invalid ones."""

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
    """One request that a fault may affect, with its regular answer."""

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
    """Status that was sent; None if none was."""

    async def give(self, answer: ApiResponse) -> None:
        """Send an answer as JSON."""
        await self.reply(answer.status, encode(answer.body), {**JSON, **answer.headers})

    async def reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a complete response."""
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
        """Write bytes directly to the socket, then close or reset it."""
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
        # No ASGI message can break HTTP itself, so this uses the connection behind `receive`.
        transport: asyncio.Transport = self.receive.__self__.transport  # type: ignore[attr-defined]
        return transport

    async def gone(self, seconds: float | None) -> bool:
        """Wait for the client to leave, at most `seconds` or without limit; returns whether it did."""
        try:
            while True:
                message = await asyncio.wait_for(self.receive(), seconds)
                if message["type"] == "http.disconnect":
                    return True
        except TimeoutError:
            return False
