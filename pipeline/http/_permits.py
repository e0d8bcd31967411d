"""Permits: how many requests may be in flight, shared so that no account waits for another's slow vendor."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.http._limits import Limiter, RateLimit

MOST_AT_ONCE: Final = 512
"""Requests of a complete run. Each is an open file, of which a process usually has 1,024."""
MOST_AT_ORIGIN: Final = 64
"""Requests of one vendor to one origin: more would be impolite to a vendor, and gain nothing on two cores."""
RESERVED: Final = 8
"""Of a vendor's permits, those reserved for each of its origins, if there are enough for all."""
GIVEN_UP_AFTER: Final = 256
"""Consecutive GETs without an answer, retries included, after which an origin's remaining requests are not sent. They
take about four minutes of hanging, four times 64 in parallel: a vendor that is down may delay the others by that much.
"""


class Permits:
    """Permits of one run. Every vendor has its share, and so has every origin within its vendor's share."""

    def __init__(self) -> None:
        self._vendors: dict[str, _VendorPermits] = {}

    def origin(self, vendor: str, origin: Hashable) -> OriginPermits:
        """Permits for one vendor's requests to one origin; the same object for the same two arguments."""
        if vendor not in self._vendors:
            self._vendors[vendor] = _VendorPermits()
            for each in self._vendors.values():
                each.vendor_count = len(self._vendors)
        return self._vendors[vendor].origin(origin)


class _VendorPermits:
    """Share of a vendor. An origin may take permits that others have not reserved, so a single origin may use all."""

    def __init__(self) -> None:
        self.vendor_count = 1
        self.held = 0
        self.waiting: deque[OriginPermits] = deque()
        """Origins with waiting requests, each once."""
        self._origins: dict[Hashable, OriginPermits] = {}

    @property
    def most(self) -> int:
        """Size of the share. It grows with each origin, as long as no other vendor's share shrinks."""
        return min(max(MOST_AT_ORIGIN, len(self._origins)), max(1, MOST_AT_ONCE // self.vendor_count))

    @property
    def _reserved(self) -> int:
        """Permits reserved for each origin; zero if there are more origins than permits."""
        return min(RESERVED, self.most // len(self._origins))

    def origin(self, origin: Hashable) -> OriginPermits:
        if origin not in self._origins:
            self._origins[origin] = OriginPermits(self)
        return self._origins[origin]

    def allows(self, wanting: OriginPermits) -> bool:
        """Whether an origin may take another permit."""
        if self.held >= self.most or wanting.held >= MOST_AT_ORIGIN:
            return False
        reserved = self._reserved
        if wanting.held < reserved:
            return True
        kept = 0
        if reserved:
            kept = sum(max(0, reserved - each.held) for each in self._origins.values() if each is not wanting)
        return self.held + kept < self.most

    def hand_out(self) -> None:
        """Give free permits to waiting requests, one origin after the other."""
        for _ in range(len(self.waiting)):
            origin = self.waiting.popleft()
            is_served = origin.serve_next()
            if origin.has_waiting:
                self.waiting.append(origin)
            if is_served:
                return


class OriginPermits:
    """Permits of one origin, in the order of requests; also records whether the origin answers."""

    def __init__(self, vendor: _VendorPermits) -> None:
        self._vendor = vendor
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._unanswered_count = 0
        self.held = 0

    async def acquire(self) -> None:
        """Wait for a permit and take it."""
        if not self._waiting and self._vendor.allows(self):
            self._take()
            return
        turn = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._vendor.waiting.append(self)
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            # It may have been granted just now. A cancelled waiter is skipped when its turn comes.
            if not turn.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give a permit back."""
        self.held -= 1
        self._vendor.held -= 1
        self._vendor.hand_out()

    @property
    def has_waiting(self) -> bool:
        """Whether a request waits for a permit."""
        return bool(self._waiting)

    def serve_next(self) -> bool:
        """Give a permit to the longest waiting request; returns False if none waits or none is free."""
        while self._waiting and self._vendor.allows(self):
            turn = self._waiting.popleft()
            if not turn.done():
                self._take()
                turn.set_result(None)
                return True
        return False

    def note(self, *, is_answered: bool) -> None:
        """Record whether a complete GET was answered."""
        self._unanswered_count = 0 if is_answered else self._unanswered_count + 1

    @property
    def is_given_up(self) -> bool:
        """Whether so many consecutive GETs had no answer that the rest of the run sends no more of them."""
        return self._unanswered_count >= GIVEN_UP_AFTER

    def _take(self) -> None:
        self.held += 1
        self._vendor.held += 1


class QueueTime:
    """Time that a client's requests have waited behind those of others."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._since: list[float] = []

    @property
    def seconds(self) -> float:
        """Seconds so far, including waits that have not ended."""
        now = time.monotonic()
        return self._seconds + sum(now - since for since in self._since)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the time spent in the block."""
        since = time.monotonic()
        self._since.append(since)
        try:
            yield
        finally:
            self._since.remove(since)
            self._seconds += time.monotonic() - since


class Admission:
    """Queue for one origin under one rate limit, in the order of requests."""

    def __init__(self, limiter: Limiter, permits: OriginPermits) -> None:
        self.permits = permits
        self._limiter = limiter
        # Only the first in line checks whether the limit has room; with thousands checking, nothing else would run.
        self._first = asyncio.Lock()

    @property
    def limit(self) -> RateLimit:
        """The rate limit that is kept."""
        return self._limiter.limit

    def heed(self, stated: int | None) -> None:
        """Keep the limit that an answer states, if it is smaller than the declared one."""
        self._limiter.heed(stated)

    async def enter(self, queued: QueueTime, *, longest_wait_seconds: float) -> float:
        """Wait for a permit and for room in the limit, and take both.

        Returns 0.0 holding a permit, which must be released; or, holding none, the seconds until the limit has room,
        which exceed `longest_wait_seconds`. Only waiting for others counts as `queued`.
        """
        with queued.counted():
            await self._first.acquire()
        try:
            while True:
                with queued.counted():
                    await self.permits.acquire()
                try:
                    wait_seconds = self._limiter.take()
                except BaseException:
                    self.permits.release()
                    raise
                if not wait_seconds:
                    return 0.0
                # A sleeping request must not hold a permit that others could use, and a slot in the limit must not be
                # counted before its request can be sent.
                self.permits.release()
                if wait_seconds > longest_wait_seconds:
                    return wait_seconds
                await asyncio.sleep(wait_seconds)
        finally:
            self._first.release()
