"""Batched landing: answers are on disk a second after they arrive, in few files."""

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
"""Answers of the last second may be lost to a kill or a power failure; the next run requests them again. Bounds the
number of files to one a second and endpoint, however many accounts answer in it."""


class LandingBatches:
    """Answers of one run on their way to landing: one file for each endpoint and batch.

    While the vendors' clocks leave it in doubt whether this machine's is right, batches are held back.
    """

    def __init__(self, home: Home, day: date, clocks: VendorClocks, opening: Fetch | None) -> None:
        """`opening` describes the run, and is landed before the first batch."""
        self._home = home
        self._day = day
        self._clocks = clocks
        self._opening = opening
        self._writers: dict[tuple[str, str], LandingWriter] = {}
        # Serialises batches, also when a run ends while another thread is landing one.
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def add(self, fetch: Fetch) -> None:
        """Add an answer to the current batch."""
        key = (fetch.vendor, fetch.endpoint)
        if key not in self._writers:
            self._writers[key] = LandingWriter(self._home.landing, *key, self._day)
        self._writers[key].add(fetch)

    async def land_each(self, every_seconds: float) -> None:
        """Land a batch at each interval, until cancelled.

        Raises DrawdownError if this machine's clock is wrong, OSError if landing cannot be written.
        """
        while True:
            await asyncio.sleep(every_seconds)
            self._clocks.check()
            if self._writers and not self._clocks.is_doubtful:
                await asyncio.to_thread(self._land, self._take())

    def finish(self) -> None:
        """Land the remaining answers; raises as `land_each` does."""
        try:
            self._clocks.check()
            self._land(self._take())
        finally:
            self.abandon()

    def finish_early(self) -> None:
        """Land the remaining answers of a run that ends early, unless the clock is wrong or in doubt.

        Suppresses its own errors, because the reason for the early end is what must be reported.
        """
        with contextlib.suppress(DrawdownError, OSError):
            if not self._clocks.is_doubtful:
                self.finish()
        self.abandon()

    def abandon(self) -> None:
        """Discard the current batch."""
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
