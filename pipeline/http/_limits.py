"""Our own rate limits, so that the vendor need not enforce theirs."""

import hashlib
import logging
import math
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, cast

from pyrate_limiter import InMemoryBucket, Rate, RateItem, SQLiteBucket
from pyrate_limiter.buckets.sqlite_bucket import Queries
from pyrate_limiter.utils import validate_rate_list

from pipeline.support.secret import Secret
from pipeline.support.wording import count, listed

_LOG = logging.getLogger(__name__)

# Another process holds the file for about a millisecond, so this rarely happens twice.
_BUSY_POLL_SECONDS = 0.005
# A process may usually open 1,024 files, of which a run's connections take at most half.
_MOST_OPEN_FILES = 256
# The library's own name for it.
_TABLE = "rate_bucket"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` in any `per_seconds`, counted for each key, each account or our whole address.

    Errors: `ValueError` for windows that could not all matter: a longer one must allow more requests, at a lower rate.
    """

    requests: int
    per_seconds: float
    scope: Literal["key", "account", "address"]
    also: tuple[tuple[int, float], ...] = ()
    """Further windows that hold at the same time, as `(requests, per_seconds)`, the shortest first."""
    is_stated: bool = False
    """Whether answers state the size of this window in X-RateLimit-Limit or a similar header. A smaller one is then
    kept, and remembered; a larger one is not used."""

    def __post_init__(self) -> None:
        if self.requests < 1 or not validate_rate_list(_rates(self.windows)):
            raise ValueError("each longer window of a rate limit must allow more requests, at a lower rate")
        if self.is_stated and self.also:
            raise ValueError("a header states one limit: a rate limit of several windows cannot be a stated one")

    @property
    def windows(self) -> tuple[tuple[int, float], ...]:
        """All windows, the shortest first."""
        return ((self.requests, self.per_seconds), *self.also)

    def __str__(self) -> str:
        (first, seconds), *rest = self.windows
        words = [f"{count(first, 'request')} in {seconds:,g} s"]
        words += [f"{requests:,} in {seconds:,g} s" for requests, seconds in rest]
        return listed(words)


def scope_value(limit: RateLimit, secrets: Iterable[Secret], account_id: str, origin: str) -> str:
    """Return what a limit is counted for: a hash of the key, the account's id, or the origin."""
    match limit.scope:
        case "key":
            return hashlib.sha256("\0".join(each.reveal() for each in secrets).encode()).hexdigest()
        case "account":
            return account_id
        case "address":
            return origin


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
        windows = (str(number) for window in limit.windows for number in window)
        label = "\0".join((vendor, *windows, limit.scope, scope_value))
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
        self.limit = limit
        """The limit that is kept: the declared one, or a smaller one that the vendor states."""
        self._declared = limit
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
                    self._file = _open_file(self._path, is_first=not self._was_open, limit=self._declared)
                    self._was_open = True
                    self._keep(_stated_before(self._file))
                return self._take_in_file(self._file)
            except (OSError, sqlite3.Error) as error:
                if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    return _BUSY_POLL_SECONDS
                self._distrust_file(error)
        if self._memory is None:
            self._memory = InMemoryBucket(_rates(self.limit.windows))
        self._memory.leak(_now_ms(self._memory))
        return _wait_seconds(self._memory)

    def heed(self, stated: int | None) -> None:
        """Keep the limit that an answer states, if it is smaller than the declared one; None or zero states nothing."""
        if not stated or not self._declared.is_stated or not self._keep(stated) or self._file is None:
            return
        try:
            self._file.conn.execute(f"PRAGMA user_version = {self.limit.requests:d}").close()
        except sqlite3.Error:
            # Another process is writing. Each answer states the limit again.
            _LOG.debug("a stated rate limit could not be stored")

    def _keep(self, stated: int) -> bool:
        """Change the size of the window; returns False if it is the same as before."""
        requests = min(self._declared.requests, stated or self._declared.requests)
        if requests == self.limit.requests:
            return False
        self.limit = replace(self._declared, requests=requests)
        for bucket in (self._file, self._memory):
            if bucket is not None:
                bucket.rates = _rates(self.limit.windows)
        return True

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


def _rates(windows: tuple[tuple[int, float], ...]) -> list[Rate]:
    return [Rate(requests, math.ceil(per_seconds * 1000)) for requests, per_seconds in windows]


def _stated_before(bucket: SQLiteBucket) -> int:
    """The limit that the vendor stated last, in this process or another; 0 if none."""
    cursor = bucket.conn.execute("PRAGMA user_version")
    (stated,) = cursor.fetchone()
    cursor.close()
    return cast(int, stated)


def _open_file(path: Path, *, is_first: bool, limit: RateLimit) -> SQLiteBucket:
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
        bucket = SQLiteBucket(_rates(limit.windows), connection, table=_TABLE)
        if is_first:
            bucket.leak(_now_ms(bucket))
        connection.execute("PRAGMA busy_timeout = 0").close()
    except BaseException:
        connection.close()
        raise
    return bucket
