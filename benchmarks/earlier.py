"""A refresh that finds nothing new, against the same refresh by an earlier commit: alternating, in one run."""

from __future__ import annotations

import io
import shutil
import statistics
import subprocess
import tarfile
from pathlib import Path

from benchmarks.command import Drawdown
from benchmarks.table import Row
from pipeline import sandbox

EARLIER = "f1a5321"
"""The commit that is compared with: before refreshes were made faster."""
TIMES = 5
_CLONE = Path(__file__).parent.parent


def measure(scratch: Path) -> list[Row]:
    """Compare wall time, CPU time and peak memory. Empty if the clone does not have the earlier commit."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    earlier = scratch / "earlier"
    archive = subprocess.run(
        [shutil.which("git") or "git", "-C", _CLONE, "archive", EARLIER], capture_output=True, check=False
    )
    if archive.returncode:
        print(f"the clone has no commit {EARLIER}: git fetch --unshallow")
        return []
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(earlier, filter="data")
    with sandbox.start(seed=1) as world:
        accounts = scratch / "accounts.toml"
        accounts.write_text(world.accounts_toml(), encoding="utf-8")
        commands = [
            Drawdown(scratch / f"home-{name}", accounts, dict(world.keys), package=package)
            for name, package in (("today", _CLONE), ("earlier", earlier))
        ]
        for each in commands:
            # The second refresh publishes a build beside the first, as every later one does.
            each.usage("run")
            each.usage("run")
        rounds = [[each.usage("run") for each in commands] for _ in range(TIMES)]
    today, before = ([pair[side] for pair in rounds] for side in (0, 1))
    return [
        _row("wall time", [each.seconds for each in today], [each.seconds for each in before], "s", 0.45),
        _row("CPU time", [each.cpu_seconds for each in today], [each.cpu_seconds for each in before], "CPU-s", 0.45),
        _row("peak memory", [each.peak_mb for each in today], [each.peak_mb for each in before], "MB", 0.55),
    ]


def _row(what: str, today: list[float], before: list[float], unit: str, goal: float) -> Row:
    now, then = statistics.median(today), statistics.median(before)
    return Row(
        what=f"A refresh of all the sandbox's accounts that finds nothing new, against commit {EARLIER}: {what}",
        measured=f"{now / then:.2f}",
        goal=f"at most {goal:g}",
        is_reached=now / then <= goal,
        how=f"{now:.1f} {unit} against {then:.1f} {unit}; alternating, medians of {TIMES} whole processes",
    )
