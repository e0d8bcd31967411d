"""Upgrades: a warehouse that an older version laid out is rebuilt from landing before anything is written to it."""

from __future__ import annotations

import os
import subprocess
import sys

import dagster as dg

from pipeline.support.dagster_steps import say
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home


def rebuild_outdated(home: Home, why: str) -> None:
    """Rebuild the warehouse in a process of its own, and say so on stderr and in Dagster's log.

    The warehouse is opened in the middle of a run, and only part of the assets may be selected there; a rebuild
    is a run of all of them, and one run inside another would share its instance, its loggers and its signals. Nothing
    is published: the run that goes on does that, and readers keep their build until then. The old warehouse stays
    until the new one is whole, so after a crash the next run begins again. The lock must be free.

    Raises DrawdownError where that process fails, with its words.
    """
    _tell(f"{why}: rebuilding it from landing first; readers keep their build until that is done")
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.orchestration.rebuild_process"],
        env={**environment, "DRAWDOWN_HOME": str(home.path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise DrawdownError(f"{why}, and could not be rebuilt: {words[-1]}")
    _tell("upgrade: done; the run goes on")


def _tell(line: str) -> None:
    say(line)
    # Without a run, this one goes to stderr.
    dg.get_dagster_logger("drawdown").warning(line)
