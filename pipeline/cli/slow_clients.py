"""uvicorn's HTTP protocol with deadlines and a cap on connections, so that slow clients keep no others out.

If there are too many connections, of one address or in total, a new one replaces the connection that has waited longest
for its client to send a request or take an answer. So clients behind a shared address, such as a proxy, all get their
turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

_HOLD_SECONDS: Final = 0.05
_GRACE_SECONDS: Final = 1.0
"""A client is not slow before that; no connection is replaced sooner."""
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Time limits for a client, and the number of connections."""

    request_seconds: float = 10.0
    """From the first byte of a request, or the start of a connection, to the last byte of that request's body."""
    answer_seconds: float = 60.0
    """From there to the last byte of the answer, without the time to compute it."""
    per_address: int = 64
    """Connections of one client address."""
    in_total: int = 128
    """Connections of all clients."""
    held: int = 32
    """Additional connections that wait while all others are being answered."""


def limited(limits: ClientLimits) -> type[asyncio.Protocol]:
    """Create the protocol for uvicorn's `http`, with these limits."""

    class LimitedProtocol(_LimitedProtocol):
        pass

    LimitedProtocol.limits = limits
    return LimitedProtocol


class _LimitedProtocol(H11Protocol):
    limits = ClientLimits()
    _timer: asyncio.TimerHandle | None = None
    _is_idle = False
    """Between an answer and the next request; uvicorn has its own deadline for that."""
    _is_held = False
    """Not read yet, because there is no room."""
    _since = 0.0
    """Start of the current wait for the client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_client(self.limits.request_seconds)
        if self._makes_room():
            return
        # The newest is held, so that a crowd that came at once does not keep later clients out.
        held = [each for each in self.connections if isinstance(each, _LimitedProtocol) and each._is_held]
        if len(held) >= self.limits.held:
            oldest = min(held, key=lambda each: each._since)
            oldest._is_held = False
            oldest.transport.write(_BUSY)
            oldest.transport.close()
        self._is_held = True
        self.flow.pause_reading()
        self.loop.call_later(_HOLD_SECONDS, self._try_again)

    def _makes_room(self, *, grace_seconds: float = 0.0) -> bool:
        """Whether there is room for this connection, if necessary by closing one that waits for its client too long."""
        latest = self.loop.time() - grace_seconds
        for is_own, most in ((True, self.limits.per_address), (False, self.limits.in_total)):
            others = [
                each
                for each in self.connections
                if isinstance(each, _LimitedProtocol)
                and not (each is self or each._is_held or each.transport.is_closing())
                and (not is_own or _address(each) == _address(self))
            ]
            if len(others) < most:
                continue
            waiting = [each for each in others if each.waits_for_client and each._since <= latest]
            if not waiting:
                return False
            min(waiting, key=lambda each: each._since).transport.abort()
        return True

    def _try_again(self) -> None:
        if self.transport.is_closing():
            return
        if self._makes_room(grace_seconds=_GRACE_SECONDS):
            self._is_held = False
            self.flow.resume_reading()
        else:
            self.loop.call_later(_HOLD_SECONDS, self._try_again)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_idle:
            self._is_idle = False
            self._await_client(self.limits.request_seconds)
        before = self.cycle
        super().data_received(data)
        if self._is_answering and self.cycle is not before:
            self._await_client(self.limits.answer_seconds, self._abort_unsent)

    def on_response_complete(self) -> None:
        self._is_idle = True
        # The client has not taken everything yet.
        self._await_client(self.limits.answer_seconds, self._abort_unsent)
        super().on_response_complete()
        if self._is_answering:
            self._is_idle = False

    @property
    def waits_for_client(self) -> bool:
        """Whether the client has to act: send a request, or take the answer."""
        return not self._is_answering or self.transport.get_write_buffer_size() > 0

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not (self.cycle.more_body or self.cycle.response_complete)

    def _await_client(self, seconds: float, then: Callable[[], None] | None = None) -> None:
        self._stop_timer()
        self._since = self.loop.time()
        self._timer = self.loop.call_later(seconds, then or self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _abort_unsent(self) -> None:
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
        elif self._is_answering:
            # The server has to act, not the client.
            self._await_client(self.limits.answer_seconds, self._abort_unsent)


def _address(connection: Any) -> str | None:
    return connection.client[0] if connection.client else None
