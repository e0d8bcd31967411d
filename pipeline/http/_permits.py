"""Permits: how many requests may be on their way at once, shared so that nobody waits for another's slow vendor."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.http._limits import Limiter

MOST_AT_ONCE: Final = 512
"""Requests of a whole run. Each is an open file, of which a process has 1,024 as a rule."""
MOST_AT_ORIGIN: Final = 64
"""Requests of one vendor to one origin: more would be rude to a vendor, and gain nothing on two cores."""
RESERVED: Final = 8
"""Of a vendor's permits, those that each of its origins keeps for itself, where there are enough for all."""
GIVEN_UP_AFTER: Final = 256
"""GETs in a row, retries included in each, that an origin leaves without an answer before the rest is not sent. They
take some four minutes of hanging, four times 64 side by side: so long may a vendor that is down hold up the others."""


class Permits:
    """The permits of one run. Every vendor has its own, and so has every origin within those of its vendor."""

    def __init__(self) -> None:
        self._vendors: dict[str, _VendorPermits] = {}

    def origin(self, vendor: str, origin: Hashable) -> OriginPermits:
        """The permits for one vendor's requests to one origin: always the same object for the same two."""
        if vendor not in self._vendors:
            self._vendors[vendor] = _VendorPermits()
            for each in self._vendors.values():
                each.vendor_count = len(self._vendors)
        return self._vendors[vendor].origin(origin)


class _VendorPermits:
    """A vendor's share. An origin may take what others have not reserved, so that a single one may take all."""

    def __init__(self) -> None:
        self.vendor_count = 1
        self.held = 0
        self.waiting: deque[OriginPermits] = deque()
        """The origins for which somebody waits, each once."""
        self._origins: dict[Hashable, OriginPermits] = {}

    @property
    def most(self) -> int:
        """How many there are. An origin more is a permit more, as long as no other vendor's share gets less by it."""
        return min(max(MOST_AT_ORIGIN, len(self._origins)), max(1, MOST_AT_ONCE // self.vendor_count))

    @property
    def _reserved(self) -> int:
        """What each origin keeps; nothing where there are more origins than permits: these wait for each other."""
        return min(RESERVED, self.most // len(self._origins))

    def origin(self, origin: Hashable) -> OriginPermits:
        if origin not in self._origins:
            self._origins[origin] = OriginPermits(self)
        return self._origins[origin]

    def allows(self, wanting: OriginPermits) -> bool:
        """Whether an origin may take one more."""
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
        """Give what is free to those who wait, one origin after the other."""
        for _ in range(len(self.waiting)):
            origin = self.waiting.popleft()
            is_served = origin.serve_next()
            if origin.has_waiting:
                self.waiting.append(origin)
            if is_served:
                return


class OriginPermits:
    """One origin's share of its vendor's permits, given in the order of asking; and whether the origin answers."""

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
            # It may have been given just now. A turn that is cancelled is passed over when it comes.
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
        """Somebody waits for a permit."""
        return bool(self._waiting)

    def serve_next(self) -> bool:
        """Give a permit to who has waited longest; False where nobody waits or none is free."""
        while self._waiting and self._vendor.allows(self):
            turn = self._waiting.popleft()
            if not turn.done():
                self._take()
                turn.set_result(None)
                return True
        return False

    def note(self, *, is_answered: bool) -> None:
        """Take down whether a whole GET was answered."""
        self._unanswered_count = 0 if is_answered else self._unanswered_count + 1

    @property
    def is_given_up(self) -> bool:
        """So many GETs in a row had no answer that the rest of the run does not wait for more of them."""
        return self._unanswered_count >= GIVEN_UP_AFTER

    def _take(self) -> None:
        self.held += 1
        self._vendor.held += 1


class QueueTime:
    """How long a client's requests have waited behind those of others."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._since: list[float] = []

    @property
    def seconds(self) -> float:
        """So far; waits that have not ended included."""
        now = time.monotonic()
        return self._seconds + sum(now - since for since in self._since)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the time that the block takes."""
        since = time.monotonic()
        self._since.append(since)
        try:
            yield
        finally:
            self._since.remove(since)
            self._seconds += time.monotonic() - since


class Admission:
    """The queue for one origin under one rate limit, in the order of asking."""

    def __init__(self, limiter: Limiter, permits: OriginPermits) -> None:
        self.permits = permits
        self._limiter = limiter
        # Only who is first looks whether the limit has room: thousands who all look would do nothing else.
        self._first = asyncio.Lock()

    async def enter(self, queued: QueueTime, *, longest_wait_seconds: float) -> float:
        """Wait for a permit and for room in the limit, and take both.

        Returns 0.0 with a permit held, which is to be given back; or, holding none, the seconds until the limit would
        have room, which are more than `longest_wait_seconds`. Only waiting for others counts as `queued`.
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
                # A permit that sleeps would be somebody else's; and a place in the limit that waits for a permit
                # would be counted before its request.
                self.permits.release()
                if wait_seconds > longest_wait_seconds:
                    return wait_seconds
                await asyncio.sleep(wait_seconds)
        finally:
            self._first.release()
