"""`make test-soak`: fault, kill and random tests at full length: `python -m tests.soak`.

Each suite consists of ordinary tests whose share is set by environment variables. Their printed lines that begin with
`soak: ` are the result; lines that differ only in numbers are summed. With --write the result goes into
docs/reliability.md, with the date and the versions. Rows of suites that are not run are kept.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from benchmarks.table import between, replace_between
from pipeline import __version__

CLONE = Path(__file__).parent.parent
PAGE = CLONE / "docs" / "reliability.md"
_COUNT = re.compile(r"\d[\d,]*")
# Lines that tests print for the soak, the number of passed rows of the fault matrix, and pytest's own last line.
_RESULT_LINE = re.compile(
    r"^soak: (.+)|^(\d+ of \d+ rows passed.*)|^=* ?((?:\d+ (?:passed|failed|errors?|deselected)|no tests ran).*?) ?=*$"
)


@dataclass(frozen=True)
class Suite:
    """Tests, and their length."""

    name: str
    pytest: tuple[str, ...]
    """Arguments for pytest."""
    whole: dict[str, int]
    """Environment variables, and their values for the full length."""


_EACH_TEST, _EACH_FILE = (("--numprocesses=logical", f"--dist={dist}") for dist in ("load", "loadfile"))
# A further suite of this kind is one more line.
SUITES = (
    Suite("faults", ("-m", "faults", *_EACH_FILE), {"DRAWDOWN_TEST_KILLS": 100}),
    Suite("fuzz", ("tests/fuzz", *_EACH_TEST), {"DRAWDOWN_TEST_BODIES": 10_000}),
    Suite("lattice", ("tests/lattice", *_EACH_TEST), {"DRAWDOWN_TEST_COMBINATIONS": 20_160, "DRAWDOWN_TEST_RUNS": 12}),
    Suite("histories", ("tests/histories", *_EACH_TEST), {"DRAWDOWN_TEST_HISTORIES": 300}),
    # Readers and writers have the machine to themselves.
    Suite("concurrency", ("tests/e2e/test_concurrency.py",), {"DRAWDOWN_TEST_BUILDS": 20}),
    Suite("replay", ("tests/replay", "tests/e2e/test_upgrade.py", "tests/e2e/test_backup.py", *_EACH_FILE), {}),
)


@dataclass(frozen=True)
class Result:
    """Result of a suite."""

    suite: Suite
    share: float
    seconds: float
    is_passed: bool
    said: list[str]
    ran: str = ""
    """The date, and the versions."""

    def row(self) -> str:
        """Its row of the page's table."""
        counts = ", ".join(f"`{name}={_part(value, self.share)}`" for name, value in self.suite.whole.items())
        verdict = "passed" if self.is_passed else "**failed**"
        return (
            f"| {self.suite.name} | {verdict} | {'; '.join(self.said)} | {self.seconds:.0f} s | {counts} | {self.ran} |"
        )


def _part(whole: int, share: float) -> int:
    return max(1, round(whole * share / 100))


def summed(lines: Sequence[str]) -> list[str]:
    """Summary of a suite's output: sums of lines that differ only in whole numbers, and other lines unchanged."""
    alike: dict[str, list[str]] = {}
    for line in lines:
        if result_line := _RESULT_LINE.match(line):
            text = next(part for part in result_line.groups() if part is not None)
            alike.setdefault(_COUNT.sub("#", text), []).append(text)
    return [texts[0] if len(texts) == 1 else _sum(texts) for texts in alike.values()]


def _sum(texts: Sequence[str]) -> str:
    columns = zip(*([int(each.replace(",", "")) for each in _COUNT.findall(text)] for text in texts), strict=True)
    sums = [sum(column) for column in columns]
    return _COUNT.sub(lambda _: f"{sums.pop(0):,}", texts[0])


def soak(suite: Suite, share: float, seconds: float) -> Result:
    """Run a suite at `share` per cent of its length, for at most `seconds`; its output goes to stderr."""
    environment = os.environ | {name: str(_part(value, share)) for name, value in suite.whole.items()}
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-rP", "--show-capture=stdout", *suite.pytest],
        cwd=CLONE,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, _ = process.communicate(timeout=max(1.0, seconds))
        except BaseException as ending:
            # Its workers and their children end with it.
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(ending, subprocess.TimeoutExpired):
                raise
            out, _ = process.communicate()
            out += f"\nsoak: not done within the time that all suites have together, after {seconds:.0f} s\n"
    sys.stderr.write(out)
    took = time.monotonic() - began
    return Result(suite, share, took, process.returncode == 0, summed(out.splitlines()), _today())


def _today() -> str:
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Drawdown {__version__}, "
        f"Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    )


def table(before: str, results: Sequence[Result]) -> str:
    """The page's table with the rows of these results; other suites keep their rows from `before`."""
    rows = {line.split("|")[1].strip(): line for line in before.splitlines() if line.startswith("| ")}
    rows |= {each.suite.name: each.row() for each in results}
    kept = [rows[each.name] for each in SUITES if each.name in rows]
    return "\n".join(["| suite | | counts | took | set by | run |", "|---|---|---|---|---|---|", *kept, ""])


def main(arguments: Sequence[str]) -> int:
    """Run the suites, print a row for each, and with --write store them; returns 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", help=f"which: {', '.join(each.name for each in SUITES)}; default: all")
    parser.add_argument("--share", type=float, default=100, metavar="PERCENT", help="of the whole; default: 100")
    parser.add_argument("--minutes", type=float, default=120, help="for all of them together; default: 120")
    parser.add_argument("--write", action="store_true", help="replace the table of docs/reliability.md")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.suites) - {each.name for each in SUITES}:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    end = time.monotonic() + 60 * asked.minutes
    results = []
    for suite in SUITES:
        if not asked.suites or suite.name in asked.suites:
            results.append(soak(suite, asked.share, end - time.monotonic()))
            print(results[-1].row(), flush=True)
    if asked.write:
        before = between(PAGE, "soak")
        replace_between(PAGE, "soak", table(before, results))
    return 0 if all(each.is_passed for each in results) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
