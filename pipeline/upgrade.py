"""Upgrades: a warehouse that another version laid out is made anew from landing, before anything is written to it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.home import Home


def make_anew(home: Home, lock: IO[str], why: str) -> None:
    """Rebuild the warehouse, say so to whoever watches and in Dagster's log, and put it in the old one's place.

    `lock` is the warehouse's, held by the caller and kept. The old warehouse stays until the new one is whole, so
    after a crash the next run begins again; readers keep the build that they have until there is a new one.
    Raises DrawdownError where landing is absent or damaged.
    """
    # The warehouse is opened in the middle of a run, which a rebuild is, too: each imports the other.
    import dagster as dg

    from pipeline.assetkit import say
    from pipeline.refresh import rebuild

    for line in (f"{why}: it is made anew from landing first", "upgrade: readers keep the last build until it is done"):
        say(line)
        dg.get_dagster_logger("drawdown").warning(line)
    rebuild(home, lock=lock)
    say("upgrade: done; the run goes on")
