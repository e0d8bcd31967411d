"""Rate limits, kept by us so that the vendor need not enforce them."""

import asyncio
import hashlib
import logging
import math
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, cast

from pyrate_limiter import InMemoryBucket, Rate, RateItem, SQLiteBucket

_LOG = logging.getLogger(__name__)

# Another process holds the file for about a millisecond, so this is rarely paid twice.
_BUSY_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` in any `per_seconds`, counted for each key, each account or our whole address."""

    requests: int
    per_seconds: float
    scope: Literal["key", "account", "address"]


class RateLimits:
    """The limiters of one run: one for each vendor, limit and scope value, whichever account asks.

    With a `folder` (made 0700, its files 0600) the limits also hold across the processes that name the same
    folder. A file that cannot be used costs a warning, and that limit then holds within this process only:
    the limits are a courtesy, and a full disk must not stop a reading.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._limiters: dict[str, Limiter] = {}

    def limiter(self, vendor: str, limit: RateLimit, scope_value: str) -> "Limiter":
        """Return the limiter for this scope value, which for a key must already be a hash of it."""
        label = "\0".join((vendor, str(limit.requests), str(limit.per_seconds), limit.scope, scope_value))
        name = hashlib.sha256(label.encode()).hexdigest()[:32]
        if name not in self._limiters:
            self._limiters[name] = Limiter(limit, self._folder and self._folder / f"{name}.sqlite")
        return self._limiters[name]

    def close(self) -> None:
        """Close the files."""
        for limiter in self._limiters.values():
            limiter.close()
        self._limiters.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Limiter:
    """One limit for one scope value."""

    def __init__(self, limit: RateLimit, path: Path | None) -> None:
        self._rates = [Rate(limit.requests, math.ceil(limit.per_seconds * 1000))]
        self._bucket: InMemoryBucket | SQLiteBucket = InMemoryBucket(self._rates)
        if path:
            try:
                self._bucket = _open_file(path, self._rates)
            except (OSError, sqlite3.Error) as error:
                self._distrust_file(error)

    async def take(self, *, deadline: float) -> float:
        """Take one place, waiting for it where need be.

        `deadline` is an instant of the event loop's clock. Returns 0.0 when the place was taken; else the
        seconds still to wait, which pass the deadline, so that nothing was waited for them.
        """
        loop = asyncio.get_running_loop()
        while wait_seconds := self._try():
            if loop.time() + wait_seconds > deadline:
                return wait_seconds
            await asyncio.sleep(wait_seconds)
        return 0.0

    def close(self) -> None:
        """Close the file."""
        self._bucket.close()

    def _try(self) -> float:
        if isinstance(self._bucket, SQLiteBucket):
            try:
                return self._try_file(self._bucket)
            except sqlite3.Error as error:
                if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    return _BUSY_POLL_SECONDS
                self._distrust_file(error)
        self._bucket.leak(_now_ms(self._bucket))
        return _wait_seconds(self._bucket)

    def _try_file(self, bucket: SQLiteBucket) -> float:
        # The library counts and inserts in two steps; this lock makes them one for all processes.
        with bucket.conn:
            bucket.conn.execute("BEGIN IMMEDIATE")
            # Requests from the future mean that the clock was set back; they would block for as long.
            bucket.conn.execute(
                f"DELETE FROM {bucket.table} WHERE item_timestamp > ?", (_now_ms(bucket) + 1000,)
            ).close()
            return _wait_seconds(bucket)

    def _distrust_file(self, error: Exception) -> None:
        _LOG.warning("a rate limit holds within this process only: its file fails with %s", type(error).__name__)
        self._bucket = InMemoryBucket(self._rates)


def _wait_seconds(bucket: InMemoryBucket | SQLiteBucket) -> float:
    item = RateItem("", _now_ms(bucket))
    return 0.0 if bucket.put(item) else max(1, cast(int, bucket.waiting(item))) / 1000


def _now_ms(bucket: InMemoryBucket | SQLiteBucket) -> int:
    return cast(int, bucket.now())  # type: ignore[no-untyped-call]


def _open_file(path: Path, rates: list[Rate]) -> SQLiteBucket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite itself would make it readable to all
    bucket = SQLiteBucket.init_from_file(rates, db_path=str(path))
    # Losing the last requests in a power cut is harmless, and an fsync for each request is not.
    bucket.conn.execute("PRAGMA synchronous = OFF").close()
    bucket.leak(_now_ms(bucket))
    bucket.conn.execute("PRAGMA busy_timeout = 0").close()
    return bucket
