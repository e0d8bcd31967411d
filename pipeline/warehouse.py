"""The writer's warehouse, behind a lock; `pipeline/reader.py` opens what is published.

One process writes at a time. The lock is an flock beside the warehouse, so it is freed by the death of its holder,
however sudden; who holds it stands in it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import duckdb

from pipeline import __version__
from pipeline.errors import DrawdownError, first_line
from pipeline.filelock import take_lock
from pipeline.home import Home, private_folder, sync_folder
from pipeline.reader import set_session
from pipeline.schema.version import SCHEMA_VERSION
from pipeline.trouble import in_words, who_locks

if TYPE_CHECKING:
    from pipeline.schema.tables import Table

LAYERS_IN_DUCKDB: Final = ("staging", "core", "forecasts", "marts", "alerts")


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
        self._is_temporary = self.path != home.warehouse
        """It begins empty, and is removed when it is closed, both under the lock, unless it took its place."""
        self.known_at = known_at
        """What arrived later is not loaded; None: everything is."""
        self.is_replay = is_replay
        """It is made again from landing, so nothing is issued anew."""
        self.has_published = False
        """A build was made of it in this run."""
        self._wait_seconds = wait_seconds
        self._lock: IO[str] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._umask: int | None = None
        """The process's own, to be put back; DuckDB makes its log beside the file at any time while it is open."""

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection, with every table there.

        A file that an older version laid out is made anew from landing first. Raises DrawdownError where another
        process holds the warehouse for longer than the wait, or where the file cannot be opened, or was laid out by
        a newer version.
        """
        if self._connection is None:
            other = self._open()
            if other:
                from pipeline.upgrade import make_anew

                # Its own process takes the lock for it.
                self.close()
                make_anew(self.home, other)
                other = self._open()
            if other:
                self.close()
                raise DrawdownError(f"{other}, also after it was made anew. Another version writes it: end that one")
        assert self._connection is not None  # noqa: S101 - opened above
        return self._connection

    @property
    def is_open(self) -> bool:
        """Whether `connection` was used and the file was not closed since."""
        return self._connection is not None

    def _open(self) -> str | None:
        """Take the lock and open the file; returns why the file must be made anew, None where it need not."""
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
            return _prepare(self._connection, self.path)
        except BaseException:
            self.close()
            raise

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

    def _remove(self) -> None:
        for leftover in (self.path, self.path.with_name(self.path.name + ".wal")):
            leftover.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file and free the lock."""
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


def _open_writer(path: Path, deadline: float) -> duckdb.DuckDBPyConnection:
    # A reader that only looks in is waited for, as a writer is.
    while (connection := _try_to_open(path, is_last=time.monotonic() >= deadline)) is None:
        time.sleep(0.05)
    set_session(connection)
    return connection


def _try_to_open(path: Path, *, is_last: bool) -> duckdb.DuckDBPyConnection | None:
    try:
        return duckdb.connect(path)
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


def _prepare(connection: duckdb.DuckDBPyConnection, path: Path) -> str | None:
    """Make every table and view, empty, where the file is new.

    Returns why the file must be made anew, None where it need not. Raises DrawdownError for a file that a newer
    version laid out.
    """
    from pipeline.schema.render import comments, create_table

    tables, views = layout()
    schemas = [f"CREATE SCHEMA IF NOT EXISTS {layer}" for layer in LAYERS_IN_DUCKDB]
    structure = [*schemas, *(create_table(table) for table in tables)]
    # What can be put in place at any time: it holds no row. A model's view is part of its SELECT's hash as well.
    definitions = [*(line for table in tables for line in comments(table)), *views]
    fingerprint, definitions_hash = _digest(structure), _digest(definitions)
    found = _layout_of(connection)
    if found is None:
        _execute(connection, [*structure, *definitions])
    else:
        schema_version, version_id, known_fingerprint, known_hash = found
        this = f"{__version__} (schema {SCHEMA_VERSION})"
        if schema_version > SCHEMA_VERSION:
            raise DrawdownError(
                f"{path} was laid out by Drawdown {version_id} (schema {schema_version}), which is newer than this "
                f"one, {this}. Install Drawdown {version_id} or later; or, to go back for good, run `drawdown "
                "rebuild`, which rebuilds the warehouse from landing"
            )
        if schema_version < SCHEMA_VERSION:
            return f"{path} was laid out by Drawdown {version_id} (schema {schema_version}), this is {this}"
        if known_fingerprint != fingerprint:
            return f"{path} was laid out by other definitions than those of this Drawdown, {this}"
        if known_hash == definitions_hash:
            return None
        _execute(connection, definitions)
    own = (SCHEMA_VERSION, __version__, fingerprint, definitions_hash)
    connection.execute("DELETE FROM staging.layout")
    connection.execute(
        "INSERT INTO staging.layout (schema_version, version_id, fingerprint, definitions_hash) VALUES (?, ?, ?, ?)",
        own,
    )
    return None


def _digest(statements: list[str]) -> str:
    return sha256("\n".join(statements).encode()).hexdigest()[:16]


def _execute(connection: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    connection.execute("BEGIN TRANSACTION")
    for statement in statements:
        connection.execute(statement)
    connection.execute("COMMIT")


def _layout_of(connection: duckdb.DuckDBPyConnection) -> tuple[int, str, str, str] | None:
    """Schema version, Drawdown's version, fingerprint and hash by which a file was laid out; None for a new file.

    What a file does not say, because its version did not know it, is 0, `unknown` or empty.
    """
    columns = connection.sql(
        "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'staging' AND table_name = 'layout'"
    ).fetchall()
    if not columns:
        is_new = connection.sql("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]
        return None if is_new else (0, "unknown", "", "")
    names = {name for (name,) in columns}
    wanted = ("schema_version", "version_id", "fingerprint", "definitions_hash")
    said = [name if name in names else "NULL" for name in wanted]
    rows = connection.sql(f"SELECT {', '.join(said)} FROM staging.layout LIMIT 1").fetchall()
    schema_version, version_id, fingerprint, definitions = rows[0] if rows else (None, None, None, None)
    return int(schema_version or 0), str(version_id or "unknown"), str(fingerprint or ""), str(definitions or "")


def layout() -> tuple[list[Table], list[str]]:
    """Every table of the warehouse, and the statements that make its macros and views."""
    from pipeline.models import in_order
    from pipeline.schema.render import comments
    from pipeline.schema.tables import ALL, RECORDS, vendor_table
    from pipeline.schema.views import conversion_macros, evidence_view, record_view, status_macros
    from pipeline.vendors import discover

    vendors = discover()
    tables = [vendor_table(name, kind) for name, vendor in vendors.items() for kind in vendor.kinds]
    views = [record_view(record, vendors) for record in RECORDS.values()]
    views += [evidence_view(), *conversion_macros(), *status_macros()]
    for model in in_order():
        if model.table.is_view:
            views += [model.create_view(), *comments(model.table, kind="VIEW")]
    return [*(each for each in ALL.values() if not each.is_view), *tables], views
