"""Settings and transactions of all our DuckDB connections."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb


def set_session(connection: duckdb.DuckDBPyConnection) -> None:
    """Apply the settings of all our connections, readers and writers: instants in UTC, and stdout for rows only."""
    connection.execute("SET TimeZone = 'UTC'")
    # DuckDB would draw it on stdout.
    connection.execute("SET enable_progress_bar = false")
    # Where DuckDB expects few rows, it compares each with all of the other side. Behind a join with a range of months
    # its expectation is wrong by orders of magnitude: 300,000 entries took 15 s instead of 0.1 s.
    connection.execute("SET asof_loop_join_threshold = 0")


@contextlib.contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit at the end of the block, or roll back if it or the commit raises."""
    connection.execute("BEGIN TRANSACTION")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A failed statement may already have ended the transaction.
        with contextlib.suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise
