"""Our own rate limits, so that the vendor need not enforce theirs."""

import hashlib
import logging
import math
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, cast

from pyrate_limiter import InMemoryBucket, Rate, RateItem, SQLiteBucket
from pyrate_limiter.buckets.sqlite_bucket import Queries

_LOG = logging.getLogger(__name__)

# Another process holds the file for about a millisecond, so this rarely happens twice.
_BUSY_POLL_SECONDS = 0.005
# A process may usually open 1,024 files, of which a run's connections take at most half.
_MOST_OPEN_FILES = 256
# The library's own name for it.
_TABLE = "rate_bucket"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` in any `per_seconds`, counted for each key, each account or our whole address."""

    requests: int
    per_seconds: float
    scope: Literal["key", "account", "address"]


class RateLimits:
    """Limiters of one run: one for each vendor, limit and scope value, shared by all accounts.

    With a `folder` (made 0700, its files 0600) the limits are shared by all processes that use the same folder. If a
    file cannot be used, a warning is logged and its limit applies within this process only: the limits are a courtesy,
    and a full disk must not prevent a reading.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._limiters: dict[str, Limiter] = {}
        self._open: OrderedDict[str, Limiter] = OrderedDict()

    def limiter(self, vendor: str, limit: RateLimit, scope_value: str) -> "Limiter":
        """Return the limiter for this scope value, which for a key must already be a hash of it."""
        label = "\0".join((vendor, str(limit.requests), str(limit.per_seconds), limit.scope, scope_value))
        name = hashlib.sha256(label.encode()).hexdigest()[:32]
        if name not in self._limiters:
            path = self._folder and self._folder / f"{name}.sqlite"
            self._limiters[name] = Limiter(limit, path, lambda limiter: self._keep_open(name, limiter))
        return self._limiters[name]

    def _keep_open(self, name: str, limiter: "Limiter") -> None:
        """Close the least recently used file if there are many: each key may have its own limit."""
        self._open[name] = limiter
        self._open.move_to_end(name)
        if len(self._open) > _MOST_OPEN_FILES:
            _, longest_unused = self._open.popitem(last=False)
            longest_unused.close()

    def close(self) -> None:
        """Close the files."""
        for limiter in self._limiters.values():
            limiter.close()
        self._limiters.clear()
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Limiter:
    """One limit for one scope value."""

    def __init__(self, limit: RateLimit, path: Path | None, on_use: "Callable[[Limiter], None]") -> None:
        self._rates = [Rate(limit.requests, math.ceil(limit.per_seconds * 1000))]
        self._path = path
        self._on_use = on_use
        self._file: SQLiteBucket | None = None
        self._was_open = False
        self._memory: InMemoryBucket | None = None

    def take(self) -> float:
        """Take one slot if there is one, and return 0.0; otherwise return the seconds until another try makes sense."""
        if self._path is not None:
            self._on_use(self)
            try:
                if self._file is None:
                    self._file = _open_file(self._path, self._rates, is_first=not self._was_open)
                    self._was_open = True
                return self._take_in_file(self._file)
            except (OSError, sqlite3.Error) as error:
                if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    return _BUSY_POLL_SECONDS
                self._distrust_file(error)
        if self._memory is None:
            self._memory = InMemoryBucket(self._rates)
        self._memory.leak(_now_ms(self._memory))
        return _wait_seconds(self._memory)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._file is not None:
            self._file.close()  # type: ignore[no-untyped-call]
            self._file = None

    def _take_in_file(self, bucket: SQLiteBucket) -> float:
        # The library counts and inserts in two steps; this lock makes them atomic across processes.
        with bucket.conn:
            bucket.conn.execute("BEGIN IMMEDIATE")
            # Requests from the future mean that the clock was set back; they would block for as long.
            bucket.conn.execute(
                f"DELETE FROM {bucket.table} WHERE item_timestamp > ?", (_now_ms(bucket) + 1000,)
            ).close()
            return _wait_seconds(bucket)

    def _distrust_file(self, error: Exception) -> None:
        _LOG.warning("a rate limit applies within this process only: its file fails with %s", type(error).__name__)
        self._path = None
        self.close()


def _wait_seconds(bucket: InMemoryBucket | SQLiteBucket) -> float:
    item = RateItem("", _now_ms(bucket))
    return 0.0 if bucket.put(item) else max(1, cast(int, bucket.waiting(item))) / 1000


def _now_ms(bucket: InMemoryBucket | SQLiteBucket) -> int:
    return cast(int, bucket.now())  # type: ignore[no-untyped-call]


def _open_file(path: Path, rates: list[Rate], *, is_first: bool) -> SQLiteBucket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite would create it readable for all
    connection = sqlite3.connect(path)
    try:
        # Losing the last requests in a power failure is harmless, and an fsync for each request or new key is not: the
        # library would sync while opening, before that could be switched off.
        connection.execute("PRAGMA synchronous = OFF").close()
        connection.execute(Queries.CREATE_BUCKET_TABLE.format(table=_TABLE)).close()
        index = Queries.CREATE_INDEX_ON_TIMESTAMP.format(
            index_name=f"idx_{_TABLE}_rate_item_timestamp", table_name=_TABLE
        )
        connection.execute(index).close()
        bucket = SQLiteBucket(rates, connection, table=_TABLE)
        if is_first:
            bucket.leak(_now_ms(bucket))
        connection.execute("PRAGMA busy_timeout = 0").close()
    except BaseException:
        connection.close()
        raise
    return bucket
