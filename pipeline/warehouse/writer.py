"""The writer's warehouse, behind a lock; `pipeline/warehouse/reader.py` opens published builds.

One process writes at a time. The lock is an flock on a file beside the warehouse that names its holder, so it is
released when the holder dies.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import duckdb

from pipeline.support.duckdb_session import set_session
from pipeline.support.error_words import in_words, who_locks
from pipeline.support.errors import DrawdownError, first_line
from pipeline.support.file_lock import take_lock
from pipeline.support.home import Home, private_folder, sync_folder
from pipeline.warehouse.layout import prepare
from pipeline.warehouse.remote_steps import RemoteSteps


class Warehouse:
    """The writer's DuckDB file. The lock is taken at the first use of `connection` and held until `close`."""

    def __init__(
        self,
        home: Home,
        *,
        wait_seconds: float = 60.0,
        path: Path | None = None,
        is_kept: bool = False,
        known_at: datetime | None = None,
        is_replay: bool = False,
        rebuild: Callable[[Home, str], object] | None = None,
    ) -> None:
        self.home = home
        self._rebuild = rebuild
        """Rebuilds a file that another version laid out, given why. None: such a file is refused."""
        self.path = path or home.warehouse
        self._is_temporary = self.path != home.warehouse and not is_kept
        """It begins empty, and is removed when it is closed, both under the lock, unless it replaced the main file."""
        self.known_at = known_at
        """What arrived later is not loaded; None: everything is."""
        self.is_replay = is_replay
        """It is rebuilt from landing, so no forecast is issued."""
        self.steps: RemoteSteps | None = None
        """Steps that run elsewhere; None: all run in this process."""
        self.has_published = False
        """A build was made of it in this run."""
        self._wait_seconds = wait_seconds
        self._lock: IO[str] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._umask: int | None = None
        """The process's own, to be put back; DuckDB makes its log beside the file at any time while it is open."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection, with every table created.

        A file that an older version laid out is passed to `rebuild` first. Raises DrawdownError if there is no
        `rebuild`, if another process holds the warehouse for longer than the wait, and if the file cannot be opened or
        was laid out by a newer version.
        """
        if self._connection is None:
            other = self._open()
            if other:
                # The rebuild takes the lock itself.
                self.close()
                if self._rebuild is None:
                    raise DrawdownError(f"{other}: run `drawdown rebuild`, which rebuilds it from landing")
                self._rebuild(self.home, other)
                other = self._open()
            if other:
                self.close()
                raise DrawdownError(f"{other}, even after it was rebuilt. Another version writes to it: stop that one")
        assert self._connection is not None  # noqa: S101 - opened above
        return self._connection

    @property
    def is_open(self) -> bool:
        """Whether `connection` was used and the file has not been closed since."""
        return self._connection is not None

    def _open(self) -> str | None:
        """Take the lock and open the file; returns the reason why the file must be rebuilt, or None."""
        self._umask = os.umask(0o077)
        try:
            private_folder(self.home.path)
            deadline = time.monotonic() + self._wait_seconds
            self._lock = take_lock(
                self.home.path / "warehouse.lock", self._wait_seconds, what="the warehouse is being written"
            )
            if self._is_temporary:
                self._remove()
            self._connection = _open_writer(self.path, deadline)
            # A rebuild starts with an empty file, which says nothing about its size.
            if not self._is_temporary and self.path.stat().st_size < _SMALL_BYTES:
                self._connection.execute("SET threads = 1")
            return prepare(self._connection, self.path)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Commit at the end of the block, or roll back if it raises."""
        connection = self.connection
        connection.execute("BEGIN TRANSACTION")
        try:
            yield connection
        except BaseException:
            # A failed statement may already have ended the transaction.
            with contextlib.suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def checkpoint(self) -> None:
        """Write the log into the file. Closing does so too, but ignores a full disk.

        Raises duckdb.Error; committed data is then in the log.
        """
        self.connection.execute("CHECKPOINT")

    def replace_main_file(self) -> None:
        """Close the file and move it to the state folder's warehouse, before the lock is released."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        # The old file's log must not be replayed into the new file.
        self.home.warehouse.with_name(self.home.warehouse.name + ".wal").unlink(missing_ok=True)
        self.path.replace(self.home.warehouse)
        sync_folder(self.home.path)
        self.close()

    def _remove(self) -> None:
        for leftover in (self.path, self.path.with_name(self.path.name + ".wal")):
            leftover.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file and release the lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            if self._is_temporary:
                self._remove()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._umask is not None:
            os.umask(self._umask)
            self._umask = None


_SMALL_BYTES: Final = 64_000_000
"""Size below which a warehouse is written with one thread, until something large is loaded: on small tables, passing
work to others costs more CPU time than it saves. Measured on 2 cores with the sandbox's nine accounts: 0.88 times the
CPU time of a refresh."""
_BLOCK_BYTES: Final = 16_384
"""Block size of a new warehouse, the smallest possible. DuckDB holds a block in memory for each column of each changed
table, and the warehouse has hundreds of columns in small tables: in each refresh, blocks of 64 KiB take 55 MB more and
its default of 256 KiB 250 MB more."""


def use_all_threads(connection: duckdb.DuckDBPyConnection) -> None:
    """Write with a thread for each core from now on, because the tables are no longer small."""
    connection.execute("RESET threads")


def _open_writer(path: Path, deadline: float) -> duckdb.DuckDBPyConnection:
    # A short-lived reader is waited for, as a writer is.
    while (connection := _try_to_open(path, is_last=time.monotonic() >= deadline)) is None:
        time.sleep(0.05)
    set_session(connection)
    return connection


def _try_to_open(path: Path, *, is_last: bool) -> duckdb.DuckDBPyConnection | None:
    try:
        return duckdb.connect(path, config={"default_block_size": _BLOCK_BYTES})
    except duckdb.Error as problem:
        holder = who_locks(problem)
        if holder is None:
            raise DrawdownError(
                in_words(problem)
                or f"{path} cannot be opened: {first_line(problem)}. Landing still holds every answer: run "
                "`drawdown rebuild`"
            ) from None
        if not is_last:
            return None
        raise DrawdownError(
            f"{path} is open in {holder}, which is not Drawdown. Close it there; "
            "readers should open published/current.duckdb, which is never locked"
        ) from None
