"""The one place that opens DuckDB: the writer's warehouse behind a lock, and readers' snapshots without any rights.

One process writes at a time. The lock is an flock beside the warehouse, so it is freed by the death of its holder,
however sudden; who holds it stands in it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import duckdb

from pipeline.errors import DrawdownError
from pipeline.home import Home, private_folder, sync_folder

if TYPE_CHECKING:
    from pipeline.schema.tables import Table

LAYERS_IN_DUCKDB: Final = ("staging", "core", "forecasts", "marts", "alerts")

_NO_REACH: Final[dict[str, str | bool | int | float | list[str]]] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
}


class Warehouse:
    """The writer's DuckDB file. The lock is taken at the first use of `connection` and kept until `close`."""

    def __init__(
        self,
        home: Home,
        *,
        wait_seconds: float = 60.0,
        path: Path | None = None,
        known_at: datetime | None = None,
        is_replay: bool = False,
    ) -> None:
        self.home = home
        self.path = path or home.warehouse
        self.known_at = known_at
        """What arrived later is not loaded; None: everything is."""
        self.is_replay = is_replay
        """It is made again from landing, so nothing is issued anew."""
        self._wait_seconds = wait_seconds
        self._lock: IO[str] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection, with every table there.

        Raises DrawdownError where another process holds the warehouse for longer than the wait, or where the
        file cannot be opened or was laid out by another version.
        """
        if self._connection is None:
            private_folder(self.home.path)
            deadline = time.monotonic() + self._wait_seconds
            self._lock = _lock(self.home.path / "warehouse.lock", self._wait_seconds)
            try:
                self._connection = _open_writer(self.path, deadline)
                _prepare(self._connection, self.path)
            except BaseException:
                self.close()
                raise
        return self._connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """All or nothing: commits when the block ends well, rolls back when it does not."""
        connection = self.connection
        connection.execute("BEGIN TRANSACTION")
        try:
            yield connection
        except BaseException:
            # A failed statement may have ended the transaction by itself.
            with contextlib.suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def checkpoint(self) -> None:
        """Write the log into the file. Closing does it, too, but passes over a disk that is full.

        Raises duckdb.Error; what was committed stands in the log then.
        """
        self.connection.execute("CHECKPOINT")

    def take_place(self) -> None:
        """Close the file and put it where the state folder's warehouse belongs, before the lock is freed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        # The old file's log must not be replayed into the new file.
        self.home.warehouse.with_name(self.home.warehouse.name + ".wal").unlink(missing_ok=True)
        self.path.replace(self.home.warehouse)
        sync_folder(self.home.path)
        self.close()

    def close(self) -> None:
        """Close the file and free the lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _lock(path: Path, wait_seconds: float) -> IO[str]:
    handle = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            if problem.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() >= deadline:
                holder = handle.read().strip() or "another process"
                handle.close()
                raise DrawdownError(
                    f"the warehouse is being written by {holder}; waited {wait_seconds:.0f} s. "
                    "Try again when it has finished, or end it"
                ) from None
            time.sleep(0.05)
        else:
            try:
                handle.seek(0)
                handle.truncate()
                handle.write(f"process {os.getpid()} ({Path(sys.argv[0]).name or 'python'})")
                handle.flush()
            except OSError:
                # A full disk: nobody holds the lock, so it must not stay with a file that nobody closes.
                with contextlib.suppress(OSError):
                    handle.close()
                raise
            return handle


def _open_writer(path: Path, deadline: float) -> duckdb.DuckDBPyConnection:
    previous = os.umask(0o077)
    try:
        # A reader that only looks in is waited for, as a writer is.
        while (connection := _try_to_open(path, is_last=time.monotonic() >= deadline)) is None:
            time.sleep(0.05)
    finally:
        os.umask(previous)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _try_to_open(path: Path, *, is_last: bool) -> duckdb.DuckDBPyConnection | None:
    try:
        return duckdb.connect(path)
    except duckdb.Error as problem:
        text = str(problem)
        if "Could not set lock" not in text:
            raise DrawdownError(
                in_words(problem)
                or f"{path} cannot be opened: {text.splitlines()[0][:200]}. Landing still holds every answer: run "
                "`drawdown rebuild`"
            ) from None
        if not is_last:
            return None
        match = re.search(r"PID (\d+)", text)
        holder = f"process {match[1]}" if match else "another process"
        raise DrawdownError(
            f"{path} is open in {holder}, which is not Drawdown. Close it there; "
            "readers should open published/current.duckdb, which is never locked"
        ) from None


_FULL: Final = ("No space left on device", "File too large", "Disk quota exceeded")
_DAMAGED: Final = ("Corrupt", "not a valid DuckDB database file", "Could not read enough bytes", "replaying WAL")


def in_words(problem: Exception) -> str | None:
    """What a person can do about a full disk or a damaged DuckDB file, in one line; None for any other error."""
    text = (str(problem).splitlines() or [""])[0][:300]
    if any(sign in text for sign in _FULL):
        return f"no room on the disk: {text}. What was committed stands; make room and run again"
    if isinstance(problem, duckdb.Error) and any(sign in text for sign in _DAMAGED):
        return f"a DuckDB file is damaged: {text}. Landing still holds every answer: run `drawdown rebuild`"
    return None


def _prepare(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make every table and view, empty, where the file is new; refuse a file of another layout."""
    from pipeline.schema.render import comments, create_table

    tables, views = layout()
    statements = [f"CREATE SCHEMA IF NOT EXISTS {layer}" for layer in LAYERS_IN_DUCKDB]
    for table in tables:
        statements += [create_table(table), *comments(table)]
    statements += views
    fingerprint = sha256("\n".join(statements).encode()).hexdigest()[:16]
    if connection.sql("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'layout'").fetchall()[0][0]:
        if connection.sql("SELECT fingerprint FROM staging.layout").fetchall() == [(fingerprint,)]:
            return
        raise DrawdownError(
            f"{path} was laid out by another version of Drawdown. Landing still holds every answer: run "
            "`drawdown rebuild`"
        )
    connection.execute("BEGIN TRANSACTION")
    for statement in statements:
        connection.execute(statement)
    connection.execute("INSERT INTO staging.layout VALUES (?)", [fingerprint])
    connection.execute("COMMIT")


def layout() -> tuple[list[Table], list[str]]:
    """Every table of the warehouse, and the statements that make its macros and views."""
    from pipeline.models import in_order
    from pipeline.schema.render import comments
    from pipeline.schema.tables import ALL, RECORDS, vendor_table
    from pipeline.schema.views import conversion_macros, evidence_view, record_view
    from pipeline.vendors import discover

    vendors = discover()
    tables = [vendor_table(name, kind) for name, vendor in vendors.items() for kind in vendor.kinds]
    views = [record_view(record, vendors) for record in RECORDS.values()]
    views += [evidence_view(), *conversion_macros()]
    for model in in_order():
        if model.table.is_view:
            views += [model.create_view(), *comments(model.table, kind="VIEW")]
    return [*(each for each in ALL.values() if not each.is_view), *tables], views


def open_reader(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a published file read-only, without reach beyond it: no other file, no extension, no setting.

    The symlink is resolved first, because one process would get a cached older file for a path it knows.
    Raises DrawdownError where nothing is published yet, or the file is damaged.
    """
    if not path.exists():
        raise DrawdownError(
            f"{path} does not exist: nothing is published yet. `drawdown run` makes the first build, `drawdown demo` "
            "one to look at; or set DRAWDOWN_HOME to the folder that has one"
        )
    try:
        connection = duckdb.connect(path.resolve(), read_only=True, config=_NO_REACH)
    except duckdb.Error as problem:
        raise DrawdownError(
            f"{path} cannot be opened: {str(problem).splitlines()[0][:200]}. `drawdown rebuild` makes it anew"
        ) from None
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection
