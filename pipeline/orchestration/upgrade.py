"""Upgrades: a warehouse with the layout of an older version is rebuilt from landing before it is written to."""

from __future__ import annotations

import os
import subprocess
import sys

import dagster as dg

from pipeline.support.dagster_steps import say
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home


def rebuild_outdated(home: Home, why: str) -> None:
    """Rebuild the warehouse in a separate process, and report it on stderr and in Dagster's log.

    The warehouse is opened in the middle of a run, possibly with only part of the assets selected; a rebuild is a run
    of all of them, and a nested run would share its instance, loggers and signals. The rebuild publishes nothing: the
    run does that afterwards, and readers keep their build until then. The old warehouse is kept until the new one is
    complete, so after a crash the next run starts again. The lock must be free.

    Raises DrawdownError with the process's message if it fails.
    """
    _report(f"{why}: rebuilding it from landing first; readers keep their build until that is done")
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
    _report("upgrade: done; the run continues")


def _report(line: str) -> None:
    say(line)
    # Outside a run, this logger writes to stderr.
    dg.get_dagster_logger("drawdown").warning(line)
