"""Running commands as a user does: separate processes, measured from outside."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

WITHOUT_VENDORS = "not group:landing and not group:alerts"
"""A refresh of what is already landed, because the vendors' share of the time is not measured."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process took, or several in succession."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    """Most memory that one of the processes held, in MB (10^6 bytes); a file with several hard links counts once."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds, max(self.peak_mb, other.peak_mb)
        )


def run_measured(command: Sequence[str | Path], environment: Mapping[str, str]) -> Usage:
    """Run a command and return what its process took; the CPU time includes the processes that it waited for.

    Raises RuntimeError with everything that it printed if it fails.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        peak = _Peak(process.pid)
        peak.start()
        _, status, resources = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        peak.stop()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            name = " ".join([Path(command[0]).name, *map(str, command[1:])])
            raise RuntimeError(f"{name} ended with {process.returncode}:\n{output.read().decode()}")
    return Usage(took, resources.ru_utime + resources.ru_stime, peak.mb)


class _Peak(threading.Thread):
    """Reads the peak memory of a process until it ends.

    The kernel's own account of an ended process (`ru_maxrss`) begins with the memory of the process that started it.
    """

    def __init__(self, process_id: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{process_id}/status")
        self._has_ended = threading.Event()
        self.mb = 0.0

    def run(self) -> None:
        """Read every 50 ms; the value never falls, so only the growth of the last 50 ms may be missed."""
        while not self._has_ended.wait(0.05):
            with suppress(OSError, StopIteration):
                line = next(each for each in self._status.read_text().splitlines() if each.startswith("VmHWM:"))
                self.mb = int(line.split()[1]) * 1024 / 1e6

    def stop(self) -> None:
        """End the reading."""
        self._has_ended.set()
        self.join()


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

    def usage_from_landing(self, selection: str = WITHOUT_VENDORS) -> Usage:
        """Make the selected tables from what is landed, in an empty warehouse, and return what the process took.

        Raises RuntimeError if it fails.
        """
        (self.home / "warehouse.duckdb").unlink(missing_ok=True)
        shutil.rmtree(self.home / "published", ignore_errors=True)
        return self.usage("run", "--select", selection)

    def usage(self, *arguments: str) -> Usage:
        """Run a command and return what its process took. Raises RuntimeError if it fails."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("DRAWDOWN_", "DAGSTER_"))
        }
        environment |= {
            "DRAWDOWN_HOME": str(self.home), "DRAWDOWN_ACCOUNTS": str(self.accounts),
            "DAGSTER_DISABLE_TELEMETRY": "1", **self.keys,
        }  # fmt: skip
        if self.package is not None:
            environment["PYTHONPATH"] = str(self.package)
        return run_measured([Path(sys.executable).parent / "drawdown", *arguments], environment)


def medians(usages: Sequence[Usage]) -> Usage:
    """Median of each quantity, by itself."""
    return Usage(
        statistics.median(each.seconds for each in usages),
        statistics.median(each.cpu_seconds for each in usages),
        statistics.median(each.peak_mb for each in usages),
    )


@contextmanager
def scratch_folder(folder: Path | None) -> Iterator[Path]:
    """The folder, created if it is missing; for None a temporary one, which is removed after the block."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="drawdown-bench-") as made:
            yield Path(made)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


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
    return sum({stat.st_ino: stat.st_size for stat in (path.stat() for path in files)}.values()) / 1e6
