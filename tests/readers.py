"""Readers of published builds, like dashboards: they read repeatedly, and every build that they see must be complete."""

from __future__ import annotations

import random
import threading
import time
from types import TracebackType

import duckdb

from pipeline.support.home import Home, build_id

# Two tables made from the same answers at different times of a run: in a torn build they would differ.
_IS_ONE_BUILD = """
    SELECT
        (SELECT CAST(value AS BIGINT) FROM marts.build_info WHERE item = 'fetch_count'),
        (SELECT CAST(sum(fetch_count) AS BIGINT) FROM marts.data_freshness),
        (SELECT count(*) FROM marts.account_status),
        (SELECT count(*) FROM core.accounts WHERE is_configured),
        (SELECT count(DISTINCT table_name) FROM marts.data_dictionary),
        (SELECT count(*) FROM duckdb_tables())
"""


class Readers:
    """`count` readers that together query `per_second` times; a context manager that ends them.

    Each one opens the current build as documented for readers, runs one query over several tables, and closes it.
    """

    def __init__(self, home: Home, *, count: int = 1, per_second: float = 10.0) -> None:
        self.home, self.reads, self.errors = home, 0, list[str]()
        self.builds = set[str]()
        self._pause = count / per_second
        self._is_done, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._read, args=(number,), daemon=True) for number in range(count)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        self._is_done.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def __str__(self) -> str:
        return f"{self.reads} reads of {len(self.builds)} builds, {len(self.errors)} reader errors"

    def _read(self, number: int) -> None:
        # They do not all start at once.
        self._is_done.wait(random.Random(number).uniform(0, self._pause))  # noqa: S311 - repeatable, not secret
        while not self._is_done.is_set():
            began = time.monotonic()
            try:
                build = self.home.current.resolve()
                with duckdb.connect(build, read_only=True) as connection:
                    ((said, counted, shown, known, described, there),) = connection.execute(_IS_ONE_BUILD).fetchall()
                assert said == counted > 0, f"{said} and {counted} answers in {build_id(build)}"
                assert shown == known > 0, f"{shown} of {known} accounts in {build_id(build)}"
                assert described == there > 10, f"{described} of {there} tables in {build_id(build)}"
                with self._lock:
                    self.reads += 1
                    self.builds.add(build_id(build))
            except Exception as problem:
                with self._lock:
                    self.errors.append(repr(problem))
            self._is_done.wait(max(0.0, self._pause - (time.monotonic() - began)))
