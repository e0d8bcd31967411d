"""Settings of all our DuckDB connections."""

from __future__ import annotations

import duckdb


def set_session(connection: duckdb.DuckDBPyConnection) -> None:
    """Apply the settings of all our connections, readers and writers: instants in UTC, and stdout for rows only."""
    connection.execute("SET TimeZone = 'UTC'")
    # DuckDB would draw it on stdout.
    connection.execute("SET enable_progress_bar = false")
