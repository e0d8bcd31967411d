"""Budget of walking one endpoint of one account within one run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from pipeline.http import HttpOutcome, HttpResult

_AT_LEAST: Final = 2
"""Answers that are waited for in any case, as long as one GET may take, so that each run advances by at least a page.
"""


_LOOK_SECONDS: Final = 0.05
"""Minimum seconds between checks of a stopped walk's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Time and number of requests that one walk may take; our own choice.

    A run publishes nothing before its last walk has ended, so this is also how long one account can delay all others.
    The time starts with the walk's first permit, and stops while a request waits behind those of others. At 60 requests
    a minute and 100 rows a page, 90 seconds are about 12,000 rows: a longer first load takes several runs, each of
    which fails with that reason. A backfill is started by hand, by a person who waits for it.
    """

    seconds: float = 90.0
    requests: int = 1_000
    backfill_seconds: float = 1_800.0
    backfill_requests: int = 20_000


class Spending:
    """Use of a walk's budget, from now on."""

    def __init__(self, budget: Budget, *, is_backfill: bool, queued_seconds: Callable[[], float] = lambda: 0.0) -> None:
        """`queued_seconds` returns how long the walk's requests have waited behind those of others."""
        self._loop = asyncio.get_running_loop()
        self._queued_seconds = queued_seconds
        self._seconds = budget.backfill_seconds if is_backfill else budget.seconds
        self._end = self._loop.time() + self._seconds - queued_seconds()
        self._most = budget.backfill_requests if is_backfill else budget.requests
        self._asked = 0
        self.used_up = HttpResult(url="", outcome=HttpOutcome.pagination, reason="the walk has used up its budget")
        """What `on` returns in the place of an answer for which nothing is left."""

    async def on(self, asking: Coroutine[Any, Any, HttpResult]) -> HttpResult:
        """Await an answer as long as the budget lasts; after that, `asking` is cancelled."""
        if self._asked < _AT_LEAST:
            self._asked += 1
            return await asking
        if self._asked >= self._most or self._seconds_left() <= 0:
            asking.close()
            return self.used_up
        self._asked += 1
        try:
            async with asyncio.timeout(None) as timeout:
                watch = asyncio.ensure_future(self._strike_in_time(timeout))
                try:
                    return await asking
                finally:
                    watch.cancel()
        except TimeoutError:
            return self.used_up

    async def _strike_in_time(self, timeout: asyncio.Timeout) -> None:
        """Trigger the timeout when the budget is used up; each wait behind others postpones it."""
        while (left := self._seconds_left()) > 0:
            await asyncio.sleep(max(left, _LOOK_SECONDS))
        timeout.reschedule(self._loop.time())

    def _seconds_left(self) -> float:
        return self._end + self._queued_seconds() - self._loop.time()

    @property
    def words(self) -> str:
        """Sentence on which part of the budget is used up."""
        if self._seconds_left() <= 0:
            return f"the run's limit of {self._seconds:g} s for it was reached after {self._asked} requests"
        return f"the run's limit of {self._most} requests for it was reached"
