"""Landing in batches: what was answered is on disk a second later, in few files."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import date
from typing import Final

from pipeline.landing.own import land_fetch
from pipeline.landing.store import Fetch, LandingWriter
from pipeline.landing.vendorclocks import VendorClocks
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home

EVERY_SECONDS: Final = 1.0
"""So much of what was answered may be lost to a kill or a power cut; the next run asks for it once more. It is a file
for each second and endpoint at most, however many accounts answer in it."""


class LandingBatches:
    """The answers of one run on their way to landing: a file an endpoint for each batch.

    While the vendors' clocks leave it in doubt whether this machine's is right, batches wait.
    """

    def __init__(self, home: Home, day: date, clocks: VendorClocks, opening: Fetch | None) -> None:
        """`opening` says what the run is, and is landed before the first batch."""
        self._home = home
        self._day = day
        self._clocks = clocks
        self._opening = opening
        self._writers: dict[tuple[str, str], LandingWriter] = {}
        # One batch at a time, also where a run ends while another thread is at it.
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def add(self, fetch: Fetch) -> None:
        """Take an answer into the current batch."""
        key = (fetch.vendor, fetch.endpoint)
        if key not in self._writers:
            self._writers[key] = LandingWriter(self._home.landing, *key, self._day)
        self._writers[key].add(fetch)

    async def land_each(self, every_seconds: float) -> None:
        """Land a batch at each interval, until cancelled.

        Raises DrawdownError where this machine's clock is wrong, OSError where landing cannot be written.
        """
        while True:
            await asyncio.sleep(every_seconds)
            self._clocks.check()
            if self._writers and not self._clocks.is_doubtful:
                await asyncio.to_thread(self._land, self._take())

    def finish(self) -> None:
        """Land the rest; raises as `land_each` does."""
        try:
            self._clocks.check()
            self._land(self._take())
        finally:
            self.abandon()

    def finish_early(self) -> None:
        """Land what is there of a run that ends before its time, unless the clock is wrong or in doubt.

        Why it ends is what is to be told: what fails here is not.
        """
        with contextlib.suppress(DrawdownError, OSError):
            if not self._clocks.is_doubtful:
                self.finish()
        self.abandon()

    def abandon(self) -> None:
        """Leave nothing of the current batch behind."""
        for writer in self._take().values():
            writer.abandon()

    def _take(self) -> dict[tuple[str, str], LandingWriter]:
        writers, self._writers = self._writers, {}
        return writers

    def _land(self, writers: dict[tuple[str, str], LandingWriter]) -> None:
        try:
            with self._lock:
                if self._failure is not None:
                    raise self._failure
                if self._opening is not None:
                    land_fetch(self._home, self._opening)
                    self._opening = None
                for writer in writers.values():
                    writer.close()
        except BaseException as failure:
            self._failure = failure
            raise
        finally:
            for writer in writers.values():
                writer.abandon()
