"""A state folder, accounts and the installed command, for end-to-end tests."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.cli.checksum import checksums
from pipeline.http import Patience
from pipeline.landing.fetching import FetchPolicy
from pipeline.orchestration.refresh import RefreshRequest, RefreshResult, check_before, materialize
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from tests.canary import leaks
from tests.forked import run_forked

HURRIED = FetchPolicy(
    patience=Patience(
        deadline_seconds=30, connect_timeout_seconds=10, read_timeout_seconds=10, attempts=2, backoff_seconds=0.01
    ),
    is_limited=False,
)


@dataclass
class Bench:
    """One state folder and its accounts.toml."""

    folder: Path
    accounts_toml: str
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    said: dict[str, str] = field(default_factory=dict)
    """Output of each run and command, for the sweep."""

    def __post_init__(self) -> None:
        # Only a sandbox is asked for exchange rates.
        if "fx." not in self.accounts_toml:
            self.accounts_toml = f'fx.source = "package"\n{self.accounts_toml}'
        self.accounts.write_text(self.accounts_toml, encoding="utf-8")

    @property
    def accounts(self) -> Path:
        return self.folder / "accounts.toml"

    @property
    def home(self) -> Home:
        return Home(self.folder / "data")

    @property
    def environment(self) -> dict[str, str]:
        return {**self.keys, "DRAWDOWN_HOME": str(self.home.path), "DRAWDOWN_ACCOUNTS": str(self.accounts)}

    def run(self, as_of: datetime | None = None, **more: Any) -> RefreshResult:
        """Run a complete refresh in this process."""
        os.environ.update(self.environment)
        request = replace(RefreshRequest(home=self.home, clock=Clock(as_of), policy=HURRIED), **more)
        check_before(request)
        with _listening() as lines:
            try:
                outcome = materialize(request)
            except BaseException as problem:
                lines.append(
                    "".join(traceback.TracebackException.from_exception(problem, capture_locals=True).format())
                )
                raise
            finally:
                self._remember("a run", *lines)
        self._remember("an outcome", *outcome.problems)
        return outcome

    def _remember(self, what: str, *lines: str) -> None:
        self.said[f"{what} ({len(self.said)})"] = "\n".join(lines)

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the `drawdown` command in this bench's folder, in a process forked from one that has imported it."""
        done = run_forked(arguments, environment=self._of_command(environment), folder=self.folder)
        self._remember(" ".join(arguments), done.stdout, done.stderr)
        return done

    def new_process(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Like `command`, in a Python process that starts with nothing imported."""
        done = subprocess.run(
            [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
            env=self._of_command(environment),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        self._remember(" ".join(arguments), done.stdout, done.stderr)
        return done

    def _of_command(self, environment: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, "COLUMNS": "80", **self.environment, **environment}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the published build."""
        with self.published() as connection:
            return connection.execute(query).fetchall()

    def tables(self, *names: str) -> dict[str, list[tuple[Any, ...]]]:
        """Rows of these or every published table, sorted, without values that differ between any two builds."""
        every = "SELECT schema_name || '.' || table_name FROM duckdb_tables() ORDER BY 1"
        with self.published() as connection:
            wanted = names or [name for (name,) in connection.execute(every).fetchall() if name != "marts.build_info"]
            return {name: sorted(connection.execute(f"FROM {name}").fetchall(), key=repr) for name in wanted}

    @contextmanager
    def published(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The published build, read-only."""
        with duckdb.connect(self.home.current.resolve(), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection

    def checksums(self) -> dict[str, str]:
        """Checksum of each published table, as `drawdown checksum` prints it."""
        return {each.table: each.checksum for each in checksums(self.home.current)}

    def leaks(self) -> list[str]:
        """Places that contain a secret: the state folder, Dagster's records, printed output; must be empty."""
        places = [self.home.path, *self.folder.glob("dagster*")]
        return leaks(self.keys.values(), *places, said=self.said)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Capture everything that any logger logs during the block, at every level."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


class FirstRun:
    """A world's first refresh, made once and copied for each bench that starts there: `first_run(bench)`."""

    def __init__(self, made: Bench, at: datetime) -> None:
        """Refresh a bench over the world, which is at that instant and has no fault."""
        self._home = made.home
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("DAGSTER_HOME", raising=False)
            for name, value in made.environment.items():
                patch.setenv(name, value)
            assert made.run(at).problems == []

    def __call__(self, bench: Bench) -> None:
        """Like `bench.run(at)`, for a bench with the same accounts over the same world."""
        shutil.copytree(self._home.path, bench.home.path, symlinks=True)
        os.environ.update(bench.environment)


def only(accounts_toml: str, *account_ids: str) -> str:
    """An accounts.toml with only these of its accounts."""
    head, *tables = accounts_toml.split("[accounts.")
    return head + "".join(f"[accounts.{table}" for table in tables if table.split("]")[0] in account_ids)
