"""Settings of every DuckDB connection of ours."""

from __future__ import annotations

import duckdb


def set_session(connection: duckdb.DuckDBPyConnection) -> None:
    """What holds for every connection of ours, whether it reads or writes: instants are in UTC, stdout is for rows."""
    connection.execute("SET TimeZone = 'UTC'")
    # DuckDB draws it on stdout.
    connection.execute("SET enable_progress_bar = false")
