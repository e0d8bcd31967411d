"""Phases of a run as seen from outside, and where to kill it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipeline.landing.compact import folder_count
from tests.bench import Bench
from tests.faults.forks import Forks
from tests.sandbox_faults import Sandbox

PHASES: Final = ("staging", "publish", "rebuild", "landing", "core", "forecasts", "compaction")
"""Order in which phases alternate."""
_MERGE_SECONDS: Final = 0.02
"""Approximate seconds for merging the files of one folder, mostly for syncing them to disk."""
_VISIT_SECONDS: Final = 0.1
"""Approximate seconds between two of many concurrent visits of endpoints."""


@dataclass
class Killer:
    """Kills processes of one bench in a given phase, after measuring an undisturbed run."""

    bench: Bench
    sandbox: Sandbox
    forks: Forks
    instants: random.Random

    def watch(self, at: datetime) -> None:
        """Measure a complete run."""
        self.forks.start(at.isoformat())
        assert self.forks.end() == 0
        run = self.forks.said
        names, seconds = [name for _, name in run], [second for second, _ in run]
        self._visits = names.count("visit")
        landed = max(place for place, name in enumerate(names) if name == "visit")
        staging, forecasts, published = (names.index(each) for each in ("staging", "forecasts", "published"))
        last_core = max(place for place in range(forecasts) if names[place].startswith("core."))
        self._last_core, self._last_mart = names[last_core], names[published - 1]
        # The step that starts a phase, its count, and its duration.
        self._spans = {
            "staging": ("visit", self._visits, seconds[staging] - seconds[landed]),
            "core": ("staging", 1, seconds[last_core] - seconds[staging]),
            "forecasts": (self._last_core, 1, seconds[forecasts] - seconds[last_core]),
            "publish": (self._last_mart, 1, self.forks.seconds - seconds[published - 1]),
            # It fetches nothing and loads everything, which takes about as long.
            "rebuild": ("", 0, self.forks.seconds),
        }

    def kill(self, phase: str, at: datetime) -> str:
        """Start the process of a phase, kill it in that phase, and return the phase that was hit."""
        if phase == "compaction":
            folder = self.instants.randrange(folder_count(self.bench.home.landing))
            process = self.forks.start(at.isoformat(), job=phase)
            self.forks.wait_for("folder", times=folder)
            seconds = _MERGE_SECONDS
        elif phase == "landing":
            process = self._start_asking(at)
            self.forks.wait_for("visit", times=self.instants.randrange(self._visits))
            seconds = _VISIT_SECONDS
        else:
            after, times, seconds = self._spans[phase]
            process = self.forks.start(at.isoformat(), job="rebuild" if phase == "rebuild" else "run")
            self.forks.wait_for(after, times=times)
        time.sleep(self.instants.uniform(0, seconds))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        if self.forks.end() != -signal.SIGKILL:
            return "nothing: it was over"
        return phase if phase in ("compaction", "rebuild") else self._where()

    def _start_asking(self, at: datetime) -> int:
        """Start a run, wait for its first request, and return its process id."""
        before = len(self.sandbox.requests())
        process = self.forks.start(at.isoformat())
        deadline = time.monotonic() + 120
        while len(self.sandbox.requests()) == before:
            assert time.monotonic() < deadline, "it asks nothing"
            time.sleep(0.002)
        return process

    def _where(self) -> str:
        said = [name for _, name in self.forks.said]
        if self._last_mart in said:
            return "publish"
        if "forecasts" in said:
            return "marts"
        if self._last_core in said:
            return "forecasts"
        if "staging" in said:
            return "core"
        return "staging" if said.count("visit") == self._visits else "landing"
