"""Opening what is published: a build to be read, and nothing else to be reached.

A build is attached to a DuckDB instance of its own that lives in memory. So any number of readers may be open in one
process, whatever else that process has opened in DuckDB; and a newer build is never taken for the one before it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from pipeline.support.duckdb_session import set_session
from pipeline.support.error_words import who_locks
from pipeline.support.errors import DrawdownError, first_line

CATALOG: Final = "drawdown"
"""What a build is called in SQL, whatever its file is called."""

_CONFIGURATION: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    # What does not fit into memory fails, rather than be written to a folder beside the build.
    "temp_directory": "",
}
# External access alone leaves a build's own path and its log's open, so COPY could write a log beside it, which would
# be read as the build's the next time. The file is open already, so no file system is needed any more.
_SEALS: Final = (
    "SET enable_external_access = false",
    "SET disabled_filesystems = 'LocalFileSystem'",
    "SET lock_configuration = true",
)


def open_reader(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a published file, or the newest build behind the symlink, read-only and without reach beyond it.

    No other file can be read or written, no extension loaded, no setting changed; instants are in UTC. Raises
    DrawdownError where nothing is published yet, or the file is damaged.
    """
    while True:
        build = path.resolve()
        try:
            return _open(path, build)
        except DrawdownError:
            # The build that was the newest a moment ago may have been pruned since.
            if path.resolve() == build:
                raise


@contextlib.contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A published file, opened as `open_reader` does for the block.

    Raises DrawdownError where it cannot be opened, and where the block's queries do not fit the tables in it, as after
    an upgrade, or the file cannot be read.
    """
    with open_reader(path) as connection:
        try:
            yield connection
        except (duckdb.CatalogException, duckdb.BinderException) as problem:
            raise DrawdownError(
                f"{path} was published by another version of Drawdown ({first_line(problem)}); `drawdown run` makes a "
                "new build"
            ) from None
        except duckdb.Error as problem:
            raise DrawdownError(
                f"{path} cannot be read: {first_line(problem)}. `drawdown rebuild` recreates it"
            ) from None


def _open(path: Path, build: Path) -> duckdb.DuckDBPyConnection:
    if not build.exists():
        raise DrawdownError(
            f"{path} does not exist: nothing is published yet. `drawdown run` makes the first build, `drawdown demo` "
            "one to look at; or set DRAWDOWN_HOME to the folder that has one"
        )
    connection = duckdb.connect(":memory:", config=_CONFIGURATION)
    try:
        set_session(connection)
        name = str(build).replace("'", "''")
        connection.execute(f"ATTACH '{name}' AS {CATALOG} (READ_ONLY)")
        connection.execute(f"USE {CATALOG}")
        connection.execute("DETACH memory")
        for seal in _SEALS:
            connection.execute(seal)
    except duckdb.Error as problem:
        connection.close()
        if holder := who_locks(problem):
            raise DrawdownError(f"{path} is being written by {holder}; try again when it has ended") from None
        raise DrawdownError(
            f"{path} cannot be opened: {first_line(problem)}. `drawdown rebuild` recreates it"
        ) from None
    return connection
