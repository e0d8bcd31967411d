"""The `drawdown` command in a process of its own that does not have to import anything first.

The standard library's fork server imports the package once for each worker of the tests; each command is forked from
it. Such a process has its own memory, environment, folder, umask and process id. What Python does before it runs a
command (its `PYTHON...` variables, the encoding of its output, imports) needs a process started in the ordinary way.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
"""Starts processes like `multiprocessing` does. A target is a function of a module; arguments are pickled."""
SERVER.set_forkserver_preload(["tests.preloaded"])


class Forked:
    """A command that has started; its output is in files until it ends."""

    def __init__(self, arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> None:
        """Start `drawdown` with these arguments and exactly this environment, in a folder."""
        self.arguments = list(arguments)
        self._output = tempfile.TemporaryDirectory(prefix="forked-")
        self._streams = [Path(self._output.name) / name for name in ("out", "err")]
        process = SERVER.Process(target=_run, args=(self.arguments, dict(environment), folder, self._streams))
        process.start()
        self.process: BaseProcess = process

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process.pid
        return self.process.pid

    def end(self, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Wait for its end; returns what it printed, and its exit code, negative for a signal."""
        self.process.join(timeout)
        code = self.process.exitcode
        if code is None:
            self.process.kill()
            self.process.join()
        self.process.close()
        out, err = (path.read_text(encoding="utf-8") for path in self._streams)
        self._output.cleanup()
        if code is None:
            raise subprocess.TimeoutExpired(self.arguments, timeout, out, err)
        return subprocess.CompletedProcess(self.arguments, code, out, err)


def run_forked(
    arguments: Sequence[str], *, environment: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run `drawdown` to its end."""
    return Forked(arguments, environment=environment, folder=folder).end()


def replace_environment(environment: Mapping[str, str]) -> None:
    """Give a forked process exactly these variables."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()


def _run(arguments: list[str], environment: dict[str, str], folder: Path, streams: list[Path]) -> None:
    replace_environment(environment)
    os.chdir(folder)
    for number, path in enumerate(streams, start=1):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["drawdown", *arguments]
    from pipeline.cli import main

    try:
        main()
    finally:
        # As at the end of any Python process; the fork server's children otherwise end without.
        sys.stdout.flush()
        atexit._run_exitfuncs()
