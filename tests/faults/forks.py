"""Runs that can be killed: each is a process of its own, forked from one that has imported everything already.

Starting Python and importing Dagster takes longer than a refresh, so that most instants at which a run could be killed
would be instants of importing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

CLONE = Path(__file__).parents[2]

_PARENT = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from datetime import datetime
from pipeline.clock import Clock
from pipeline.errors import DrawdownError
from pipeline.home import Home
from pipeline.refresh import Request, materialize
from pipeline.warehouse import Warehouse
from tests.bench import HURRIED

commits = 0


def die_after_commit(number):
    # The kill is as real as any; only its instant is chosen: the commit is on disk, and nobody has been told.
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


print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child:
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        continue
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        if asked["dies_after_commit"]:
            die_after_commit(asked["dies_after_commit"])
        home = Home.from_environment()
        clock = Clock(datetime.fromisoformat(asked["as_of"]))
        outcome = materialize(Request(home=home, clock=clock, policy=HURRIED, selection=asked["selection"]))
        code = 0 if outcome.is_ok else 3
    except DrawdownError:
        code = 2
    finally:
        os._exit(code)
"""


class Forks:
    """A process that forks a run for each line that it is given; a context manager."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _PARENT, str(CLONE)],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def start(self, as_of: str, *, selection: str | None = None, dies_after_commit: int = 0) -> int:
        """Start a run and return its process id."""
        asked = {"as_of": as_of, "selection": selection, "dies_after_commit": dies_after_commit}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return int(self._read())

    def end(self) -> int:
        """Wait for the run to end; returns its exit code, negative for a signal."""
        return int(self._read())

    def _read(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
