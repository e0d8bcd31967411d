"""What builds said of accounts: landed when a build is published, and read back only from landing.

An account has one row a UTC day, from the first build of that day, and it is never changed: a later build knows more,
but was not what people saw. A rebuild reads the rows and lands none.
"""

from __future__ import annotations

from typing import Final

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.landing.own import read_own
from pipeline.landing.parquet_bodies import land_parquet, read_parquet
from pipeline.landing.store import STATUSES
from pipeline.schema.tables import ALL
from pipeline.staging.aliases import Aliases
from pipeline.support.clock import Clock
from pipeline.support.home import Home

_TABLE: Final = "staging.published_statuses"
_KEY: Final = ("account_id", "status_date")
_SAME_KEY: Final = " AND ".join(f"old.{name} = new.{name}" for name in _KEY)
_LATER: Final = {"reason_code": pl.String(), "stale_code": pl.String()}
"""Columns that rows of earlier versions do not have."""
_COLUMNS: Final = ", ".join(ALL["marts.status_history"].column_names)


def land_statuses(connection: duckdb.DuckDBPyConnection, home: Home, clock: Clock, run_id: str) -> int:
    """Land the rows of `marts.status_history` that the build is the first to publish; return their number.

    Call it after the build is published. Raises OSError if the disk fails.
    """
    rows = connection.sql(
        f"SELECT {_COLUMNS} FROM marts.status_history AS new "
        f"WHERE NOT EXISTS (SELECT 1 FROM {_TABLE} AS old WHERE {_SAME_KEY}) ORDER BY account_id, status_date"
    ).pl()
    if not rows.is_empty():
        land_parquet(home, clock, run_id, STATUSES, rows)
    return rows.height


def load_statuses(connection: duckdb.DuckDBPyConnection, batch: pa.Table, aliases: Aliases) -> None:
    """Merge landed statuses into `staging.published_statuses`; for an account and day the first landed counts.

    Run inside a transaction. Raises ValueError for a damaged body.
    """
    for row in batch.filter(pc.equal(batch.column("outcome"), "ok")).sort_by("fetch_id").to_pylist():
        body = read_own(row, _read)
        if body is not None:
            _store(connection, aliases.renamed_rows(body, _KEY), row["fetch_id"])


def _read(body: bytes) -> pl.DataFrame:
    rows, wanted = read_parquet(body), ALL["marts.status_history"].column_names
    rows = rows.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in _LATER.items() if name not in rows.columns
    )
    if missing := set(wanted) - set(rows.columns):
        raise ValueError(f"no column {', '.join(sorted(missing))}")
    return rows.select(wanted)


def _store(connection: duckdb.DuckDBPyConnection, rows: pl.DataFrame, fetch_id: str) -> None:
    connection.register("incoming", rows)
    # Files may be loaded in any order.
    connection.execute(
        f"DELETE FROM {_TABLE} AS old USING incoming AS new WHERE {_SAME_KEY} AND old.fetch_id > ?", [fetch_id]
    )
    connection.execute(
        f"INSERT INTO {_TABLE} ({_COLUMNS}, fetch_id) SELECT {_COLUMNS}, ? FROM incoming AS new "
        f"WHERE NOT EXISTS (SELECT 1 FROM {_TABLE} AS old WHERE {_SAME_KEY})",
        [fetch_id],
    )
    connection.unregister("incoming")
