"""`make test-soak`: the tests that try at random or all at once, at their full length: `python -m tests.soak --write`.

Each suite is a test of the ordinary run whose share an environment variable sets. What they print in lines that begin
with `soak: ` is the result; with --write it goes into docs/reliability.md, with the command and the date.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from benchmarks.table import replace_between
from pipeline import __version__

CLONE = Path(__file__).parent.parent
PAGE = CLONE / "docs" / "reliability.md"
_PREFIX = "soak: "


@dataclass(frozen=True)
class Suite:
    """Tests, and how long they are to go on."""

    name: str
    tests: tuple[str, ...]
    whole: dict[str, int]
    """Environment variables, and what they are set to for the whole."""
    minutes: int
    """No longer than this."""


# All together end within half an hour on two idle cores. Another suite of its kind is one more line.
SUITES = (
    Suite("kills", ("tests/e2e/test_kill.py",), {"DRAWDOWN_TEST_KILLS": 100}, 18),
    Suite("concurrency", ("tests/e2e/test_concurrency.py",), {"DRAWDOWN_TEST_BUILDS": 20}, 3),
    Suite("bridge", ("tests/bridge/test_worlds.py",), {"DRAWDOWN_TEST_WORLDS": 200}, 5),
    Suite("upgrades", ("tests/e2e/test_upgrade.py", "tests/e2e/test_backup.py", "tests/replay"), {}, 3),
)


@dataclass(frozen=True)
class Result:
    """How a suite ended."""

    suite: Suite
    share: int
    seconds: float
    is_passed: bool
    said: list[str]

    def row(self) -> str:
        """Its row of the page's table."""
        counts = ", ".join(f"{name}={_part(value, self.share)}" for name, value in self.suite.whole.items()) or "whole"
        what = "; ".join(self.said) or self.suite.name
        return f"| {what} | {'passed' if self.is_passed else '**failed**'} | {self.seconds:.0f} s | `{counts}` |"


def _part(whole: int, share: int) -> int:
    return max(1, round(whole * share / 100))


def soak(suite: Suite, share: int) -> Result:
    """Run a suite, at `share` per cent of its whole; its output goes to stderr."""
    environment = os.environ | {name: str(_part(value, share)) for name, value in suite.whole.items()}
    command = [sys.executable, "-m", "pytest", "-q", "-rP", *suite.tests]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=CLONE,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60 * suite.minutes,
            check=False,
        )
        out, is_passed = done.stdout, done.returncode == 0
    except subprocess.TimeoutExpired as late:
        out = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
        out, is_passed = f"{out}\n{_PREFIX}{suite.name}: not done in {suite.minutes} minutes\n", False
    sys.stderr.write(out)
    lines = [line for line in out.splitlines() if line.startswith(_PREFIX) or " passed" in line or " failed" in line]
    said = [line.removeprefix(_PREFIX).strip("= ") for line in dict.fromkeys(lines)]
    return Result(suite, share, time.monotonic() - began, is_passed, said)


def main() -> int:
    """Run the suites, print a row for each, and with --write keep them; 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", help=f"which: {', '.join(each.name for each in SUITES)}; default: all")
    parser.add_argument("--share", type=int, default=100, metavar="PERCENT", help="of the whole; default: 100")
    parser.add_argument("--write", action="store_true", help="replace the table of docs/reliability.md")
    asked = parser.parse_args()
    if unknown := set(asked.suites) - {each.name for each in SUITES}:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    results = []
    for suite in SUITES:
        if not asked.suites or suite.name in asked.suites:
            results.append(soak(suite, asked.share))
            print(results[-1].row(), flush=True)
    if asked.write:
        command = " ".join(["python -m tests.soak", *sys.argv[1:]])
        head = (
            f"Drawdown {__version__}, Python {platform.python_version()}, DuckDB {duckdb.__version__}, "
            f"{os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}, `{command}`, "
            f"{sum(each.seconds for each in results) / 60:.0f} minutes:\n\n"
        )
        rows = "\n".join(each.row() for each in results)
        table = f"{head}| what | | took | set by |\n|---|---|---|---|\n{rows}\n"
        replace_between(PAGE, "soak", table)
    return 0 if all(each.is_passed for each in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
