"""Runs that can be killed: each is a separate process, forked from one that has already imported everything.

Starting Python and importing Dagster takes longer than a refresh, so most kills would otherwise hit imports.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import duckdb

from pipeline.landing.compact import compact
from pipeline.orchestration.refresh import RefreshRequest, materialize, rebuild
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse
from tests.bench import HURRIED
from tests.forked import SERVER, replace_environment


class Forks:
    """Runs one process after the other in an environment; a context manager, at whose end none is left."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.said: list[tuple[float, str]] = []
        """Steps that the run has reported so far: seconds since its start, and `visit`, `folder`, or a step's name."""
        self.seconds = 0.0
        """How long the run took that has ended last."""
        self._environment = {**os.environ, **environment}
        self._code: int | None = 0

    def start(self, as_of: str, *, job: str = "run", selection: str | None = None, dies_after_commit: int = 0) -> int:
        """Start a `run`, a `rebuild` or a `compaction`, and return its process id."""
        self._told, telling = SERVER.Pipe(duplex=False)
        arguments = (telling, self._environment, datetime.fromisoformat(as_of), job, selection, dies_after_commit)
        self._process = SERVER.Process(target=_run, args=arguments)
        self._process.start()
        telling.close()
        # Once it says something, everything is imported.
        assert self._told.recv() == "began"
        self.said, self._code, self._began = [], None, time.monotonic()
        assert self._process.pid
        return self._process.pid

    def wait_for(self, name: str, *, times: int = 1) -> None:
        """Wait until the run has reported a step this often, or has ended."""
        while self._code is None and [each for _, each in self.said].count(name) < times:
            self._listen()

    def end(self) -> int:
        """Wait for the run to end; returns its exit code, negative for a signal."""
        while self._code is None:
            self._listen()
        return self._code

    def _listen(self) -> None:
        try:
            step = self._told.recv()
        except EOFError:
            self._process.join()
            self._code, self.seconds = self._process.exitcode, time.monotonic() - self._began
            self._process.close()
            self._told.close()
        else:
            self.said.append((time.monotonic() - self._began, step))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._code is None:
            self._process.kill()
            self.end()


def _run(
    telling: Connection,
    environment: dict[str, str],
    at: datetime,
    job: str,
    selection: str | None,
    dies_after_commit: int,
) -> None:
    replace_environment(environment)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)

    def say(line: str) -> None:
        # Short enough to be written whole or not at all, whoever is killed meanwhile.
        telling.send(line.partition(":")[0])

    home = Home.from_environment()
    telling.send("began")
    if dies_after_commit:
        _die_after_commit(dies_after_commit)
    try:
        if job == "compaction":
            # Today's files, too: there is always something to merge.
            compact(home.landing, (at + timedelta(days=1)).date(), on_folder=lambda: say("folder"))
            is_ok = True
        elif job == "rebuild":
            is_ok = rebuild(home, on_step=say).is_ok
        else:
            policy = replace(HURRIED, on_visit=lambda _: say("visit"))
            request = RefreshRequest(home=home, clock=Clock(at), policy=policy, selection=selection, on_step=say)
            is_ok = materialize(request).is_ok
    except DrawdownError:
        sys.exit(2)
    sys.exit(0 if is_ok else 3)


def _die_after_commit(number: int) -> None:
    # The kill is as real as any; only its instant is chosen: the commit is on disk, but not acknowledged.
    whole = Warehouse.transaction
    commits = 0

    @contextmanager
    def transaction(self: Warehouse) -> Iterator[duckdb.DuckDBPyConnection]:
        nonlocal commits
        with whole(self) as connection:
            yield connection
        commits += 1
        if commits == number:
            os.kill(os.getpid(), signal.SIGKILL)

    Warehouse.transaction = transaction  # type: ignore[method-assign]
