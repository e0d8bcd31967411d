"""Interactive waiting times: a refresh without news, the status, the demo."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.command import Drawdown, median
from benchmarks.table import Row
from pipeline import sandbox


def measure(scratch: Path) -> list[Row]:
    """Time complete processes on the demo's state."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    rows = []
    with sandbox.start(seed=1) as world:
        accounts = scratch / "accounts.toml"
        accounts.write_text(world.accounts_toml(), encoding="utf-8")
        drawdown = Drawdown(scratch / "home", accounts, dict(world.keys))
        drawdown.seconds("run")
        refresh = median(lambda: drawdown.seconds("run"))
        rows.append(_row("A refresh of all the sandbox's accounts that finds nothing new", refresh, 8))
    for command in (["status"], ["sql", "select * from marts.account_status"]):
        took = median(lambda command=command: drawdown.seconds(*command))
        rows.append(_row(f"`drawdown {command[0]}`", took, 1))
    return rows


def measure_demo(scratch: Path) -> list[Row]:
    """Time `drawdown demo` with everything installed."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    drawdown = Drawdown(scratch / "home", scratch / "accounts.toml", {})
    return [_row("`drawdown demo`, installed", median(lambda: drawdown.seconds("demo"), 3), 30)]


def _row(what: str, seconds: float, goal: float) -> Row:
    return Row(
        what=what,
        measured=f"{seconds:.2f} s",
        goal=f"at most {goal:g} s",
        is_reached=seconds <= goal,
        how="with process start, median",
    )
