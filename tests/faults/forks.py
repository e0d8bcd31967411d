"""Runs that can be killed: each is a separate process, forked from one that has already imported everything.

Starting Python and importing Dagster takes longer than a refresh, so most kills would otherwise hit imports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

CLONE: Final = Path(__file__).parents[2]

_PARENT = """
import gc, json, os, sys
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
from datetime import datetime, timedelta
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.landing.compact import compact
from pipeline.orchestration.refresh import RefreshRequest, materialize, rebuild
from pipeline.warehouse.writer import Warehouse
from tests.bench import HURRIED

pipe = os.dup(1)
commits = 0


def tell(line):
    # Short enough to be written whole or not at all, whoever is killed meanwhile.
    os.write(pipe, f"{line}\\n".encode()[:1000])


def said(line):
    tell(f"said {line.partition(':')[0]}")


def die_after_commit(number):
    # The kill is as real as any; only its instant is chosen: the commit is on disk, but not acknowledged.
    import signal
    from contextlib import contextmanager

    whole = Warehouse.transaction

    @contextmanager
    def transaction(self):
        global commits
        with whole(self) as connection:
            yield connection
        commits += 1
        if commits == number:
            os.kill(os.getpid(), signal.SIGKILL)

    Warehouse.transaction = transaction


def run(home, at, selection):
    policy = replace(HURRIED, on_visit=lambda visit: said("visit"))
    return materialize(RefreshRequest(home=home, clock=Clock(at), policy=policy, selection=selection, on_step=said)).is_ok


def do(asked):
    home, at = Home.from_environment(), datetime.fromisoformat(asked["as_of"])
    if asked["job"] == "compaction":
        # Today's files, too: there is always something to merge.
        compact(home.landing, (at + timedelta(days=1)).date(), on_folder=lambda: said("folder"))
        return True
    return rebuild(home, on_step=said).is_ok if asked["job"] == "rebuild" else run(home, at, asked["selection"])


gc.freeze()
tell("ready")
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        tell(f"ended {os.waitstatus_to_exitcode(status)}")
        continue
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        tell(f"began {os.getpid()}")
        if asked["dies_after_commit"]:
            die_after_commit(asked["dies_after_commit"])
        code = 0 if do(asked) else 3
    except DrawdownError:
        code = 2
    finally:
        os._exit(code)
"""


class Forks:
    """A process that forks one run for each line that it receives, in order; a context manager."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.said: list[tuple[float, str]] = []
        """Steps that the run has reported so far: seconds since its start, and `visit`, `folder`, or a step's name."""
        self.seconds = 0.0
        """How long the run took that has ended last."""
        self._code: int | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _PARENT, str(CLONE)],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def start(self, as_of: str, *, job: str = "run", selection: str | None = None, dies_after_commit: int = 0) -> int:
        """Start a `run`, a `rebuild` or a `compaction`, and return its process id."""
        asked = {"job": job, "as_of": as_of, "selection": selection, "dies_after_commit": dies_after_commit}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        word, _, process = self._read().partition(" ")
        assert word == "began"
        self.said, self._code, self._began = [], None, time.monotonic()
        return int(process)

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
        word, _, rest = self._read().partition(" ")
        if word == "ended":
            self._code, self.seconds = int(rest), time.monotonic() - self._began
        else:
            self.said.append((time.monotonic() - self._began, rest))

    def _read(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        assert line, "the process that forks has ended"
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
