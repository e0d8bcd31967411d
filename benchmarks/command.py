"""Running `drawdown` as a user does: a separate process, timed from outside."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WITHOUT_VENDORS = "not group:landing and not group:alerts"
"""A refresh of what is already landed, because the vendors' share of the time is not measured."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process took."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Drawdown:
    """A state folder with its accounts."""

    home: Path
    accounts: Path
    keys: dict[str, str]
    package: Path | None = None
    """Checkout whose code is run; None for the installed one."""

    def seconds(self, *arguments: str) -> float:
        """Run a command and return the duration of its process. Raises RuntimeError if it fails."""
        return self.usage(*arguments).seconds

    def usage(self, *arguments: str) -> Usage:
        """Run a command and return what its process took, without the processes that it starts.

        Raises RuntimeError if it fails.
        """
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("DRAWDOWN_", "DAGSTER_"))
        }
        environment |= {
            "DRAWDOWN_HOME": str(self.home), "DRAWDOWN_ACCOUNTS": str(self.accounts),
            "DAGSTER_DISABLE_TELEMETRY": "1", **self.keys,
        }  # fmt: skip
        if self.package is not None:
            environment["PYTHONPATH"] = str(self.package)
        began = time.perf_counter()
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                [Path(sys.executable).parent / "drawdown", *arguments],
                env=environment, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
            _, status, resources = os.wait4(process.pid, 0)
            took = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                errors.seek(0)
                raise RuntimeError(
                    f"drawdown {' '.join(arguments)} ended with {process.returncode}:\n{errors.read().decode()}"
                )
        return Usage(took, resources.ru_utime + resources.ru_stime, resources.ru_maxrss / 1024)


def median(work: Callable[[], float], times: int = 5) -> float:
    """Median of repeated measurements."""
    return statistics.median(work() for _ in range(times))


def size_mb(folder: Path) -> float:
    """Size of a file, or of all files of a folder, in MB (10^6 bytes)."""
    files = (
        [folder]
        if folder.is_file()
        else [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    )
    return sum(path.stat().st_size for path in files) / 1e6
