"""Opening of published builds, read-only and without access to anything else.

A build is attached to a separate in-memory DuckDB instance. So any number of readers may be open in one process,
whatever else that process has opened in DuckDB, and a newer build is never confused with the previous one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import duckdb

from pipeline.lake.lake_of_build import allow_only, lake_of
from pipeline.support.duckdb_session import set_session
from pipeline.support.error_words import who_locks
from pipeline.support.errors import DrawdownError, first_line

CATALOG: Final = "drawdown"
"""Name of a build in SQL, whatever its file is called."""

_CONFIGURATION: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    # Queries that do not fit into memory fail, instead of writing to a folder beside the build.
    "temp_directory": "",
}
# Disabling external access alone still permits a build's own path and its log, so COPY could write a log beside it,
# which the next reader would replay. The file is open already, so no file system is needed any more.
_SEALS: Final = (
    "SET enable_external_access = false",
    "SET disabled_filesystems = 'LocalFileSystem'",
    "SET lock_configuration = true",
)


def open_reader(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a published file, or the newest build behind the symlink, read-only and isolated.

    No other file can be read or written, no extension loaded, no setting changed; instants are in UTC. A build of the
    lake reads its Parquet files. Raises DrawdownError if nothing is published yet, or the file is damaged.
    """
    while True:
        build = path.resolve()
        try:
            return _open(path, build)
        except DrawdownError:
            # The build that was the newest a moment ago may have been deleted since.
            if path.resolve() == build:
                raise


@contextlib.contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a published file as `open_reader` does, for the block.

    Raises DrawdownError if it cannot be opened or read, or if the block's queries do not fit its tables, as after an
    upgrade.
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
    lake = lake_of(build)
    connection = duckdb.connect(":memory:", config=_CONFIGURATION)
    try:
        set_session(connection)
        if lake is not None:
            allow_only(connection, lake)
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
