"""Upgrades: a warehouse that an older version laid out is made anew from landing, before anything is written to it."""

from __future__ import annotations

import os
import subprocess
import sys

from pipeline.errors import DrawdownError
from pipeline.home import Home
from pipeline.printable import printable


def make_anew(home: Home, why: str) -> None:
    """Make the warehouse anew, in a process of its own, and say so to whoever watches and in Dagster's log.

    The warehouse is opened in the middle of a run, and only part of the assets may be selected there; making it anew
    is a run of all of them, and one run inside another would share its instance, its loggers and its signals. Nothing
    is published: the run that goes on does that, and readers keep their build until then. The old warehouse stays
    until the new one is whole, so after a crash the next run begins again. The lock must be free.

    Raises DrawdownError where that process fails, with its words.
    """
    _tell(f"{why}: it is made anew from landing first, and readers keep their build until that is done")
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.upgrade"],
        env={**environment, "DRAWDOWN_HOME": str(home.path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise DrawdownError(f"{why}, and could not be made anew: {words[-1]}")
    _tell("upgrade: done; the run goes on")


def _tell(line: str) -> None:
    import dagster as dg

    from pipeline.assetkit import say

    say(line)
    # Where there is no run, this one stands on stderr.
    dg.get_dagster_logger("drawdown").warning(line)


def main() -> int:
    """Make the warehouse of `DRAWDOWN_HOME` anew; 1, and a line on stderr, where that fails."""
    from pipeline.refresh import rebuild

    os.umask(0o077)
    try:
        rebuild(Home.from_environment(), is_published=False)
    except DrawdownError as problem:
        print(printable(problem), file=sys.stderr)
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
