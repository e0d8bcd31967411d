"""Bodies of issues in landing: which of them a table does not hold yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline.landing.own import ENVELOPE, read_own
from pipeline.landing.parquet_bodies import read_parquet
from pipeline.landing.store import OWN, day_folders, each
from pipeline.staging.present import Present


def unread_issues(
    connection: duckdb.DuckDBPyConnection, landing: Path, kind: str, table: str, known_at: datetime | None
) -> Iterator[tuple[pl.DataFrame, str, datetime]]:
    """Yield each landed body up to `known_at` of which the table has no rows, oldest first: rows, fetch id, time.

    `table` has `issue_date` and `fetch_id`. Issues from the future (`pipeline.staging.present`) do not count. Raises
    OSError or ValueError for a damaged landing file.
    """
    present = Present.of_build(connection)
    taken = {name for (name,) in connection.execute(f"SELECT DISTINCT fetch_id FROM {table}").fetchall()}
    [(newest,)] = connection.execute(f"SELECT max(issue_date) FROM {table}").fetchall()
    # A run lands in the folder of its own day: newer issues are in the newest issue's folder, the one before, or later.
    since = newest - timedelta(days=1) if newest else None
    for row in sorted(_landed(landing, kind, since), key=lambda row: str(row["fetch_id"])):
        if row["fetch_id"] in taken or (known_at is not None and row["fetched_at_utc"] > known_at):
            continue
        if present is not None and present.is_future(row["fetch_id"], row["fetched_at_utc"]):
            continue
        taken.add(row["fetch_id"])
        body = read_own(row, read_parquet)
        if body is not None:
            yield body, row["fetch_id"], row["fetched_at_utc"]


def _landed(landing: Path, kind: str, since: Any) -> Iterator[dict[str, Any]]:
    for folder in day_folders(landing, OWN, kind):
        if since is None or "-".join(folder.parts[-3:]) >= f"{since:%Y-%m-%d}":
            for _, table in each(folder, ["fetch_id", "fetched_at_utc", "body", *ENVELOPE]):
                yield from table.to_pylist()
