"""What the walk of one endpoint of one account may cost within one run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from pipeline.http import Answer, Outcome

_AT_LEAST: Final = 2
"""Answers that are waited for in any case, as long as one GET may take: each run gets on by a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long one walk may take, and how many requests; our own choice.

    A run publishes nothing before its last walk has ended, so this is also how long one account may delay all others.
    At 60 requests a minute and 100 rows a page, 90 seconds are some 12,000 rows: a longer first load takes several
    runs, each of which fails with that reason. A backfill is started by hand, by somebody who waits for it.
    """

    seconds: float = 90.0
    requests: int = 1_000
    backfill_seconds: float = 1_800.0
    backfill_requests: int = 20_000


class Spending:
    """One walk's use of its budget, from now on."""

    def __init__(self, budget: Budget, *, is_backfill: bool) -> None:
        self._clock = asyncio.get_running_loop().time
        self._seconds = budget.backfill_seconds if is_backfill else budget.seconds
        self._deadline = self._clock() + self._seconds
        self._most = budget.backfill_requests if is_backfill else budget.requests
        self._asked = 0
        self.used_up = Answer(url="", outcome=Outcome.pagination, reason="the walk has used up its budget")
        """What `on` returns in the place of an answer for which nothing is left."""

    async def on(self, asking: Coroutine[Any, Any, Answer]) -> Answer:
        """Wait for an answer as long as the budget lasts; nobody waits for it, nor for `asking`, after that."""
        if self._asked < _AT_LEAST:
            self._asked += 1
            return await asking
        if self._asked >= self._most or self._clock() >= self._deadline:
            asking.close()
            return self.used_up
        self._asked += 1
        try:
            async with asyncio.timeout_at(self._deadline):
                return await asking
        except TimeoutError:
            return self.used_up

    @property
    def words(self) -> str:
        """What of the budget is used up."""
        if self._clock() >= self._deadline:
            return f"the {self._seconds:g} s that a run has for it are over after {self._asked} requests"
        return f"the {self._most} requests that a run has for it are made"
