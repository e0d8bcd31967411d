"""Storing of records: rows merged by key, and the statement of each answer about a day of usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl

from pipeline.models.months import mark_rows, mark_statements, marking_retracted
from pipeline.schema.tables import ALL, Table, vendor_table
from pipeline.staging.answer_records import insert
from pipeline.staging.answers import Landed, RecordReading
from pipeline.staging.byhand import names_its_time
from pipeline.vendors._port import Vendor


def store_reading(
    connection: duckdb.DuckDBPyConnection,
    vendor: Vendor,
    reading: RecordReading,
    answers: Sequence[Landed],
    loaded_at: datetime,
) -> None:
    """Merge the accepted rows of one kind of record of a batch of answers. Run inside a transaction."""
    kind = reading.records.kind
    table = vendor_table(vendor.name, kind)
    rows = reading.accepted.with_columns(pl.lit(loaded_at).alias("loaded_at_utc").cast(pl.Datetime("us", "UTC")))
    if names_its_time(reading.records):
        with marking_retracted(connection, sorted({answer.account_id for answer in answers})):
            upsert(connection, table, rows.select(table.column_names))
    else:
        upsert(connection, table, rows.select(table.column_names))
    if kind == "usage_days":
        _store_statements(connection, rows, reading)


def _store_statements(connection: duckdb.DuckDBPyConnection, rows: pl.DataFrame, reading: RecordReading) -> None:
    """Keep the statement of each answer about a day, in addition to the newest one.

    If a row of a day was rejected and others of the same answer were accepted, the amount is NULL: something was
    stated, so the day must not count as free.
    """
    table = ALL["staging.usage_statements"]
    stated = rows.sort("row_number").unique(subset=list(table.key), keep="last").select(table.column_names)
    if reading.rejects:
        refused = (
            reading.candidates.filter(pl.col("usage_date").is_not_null())
            .join(reading.accepted, on="_answer", how="semi")
            .join(reading.accepted, on=["_answer", "usage_date"], how="anti")
            .with_columns(pl.lit(None, dtype=stated.schema["credits_amount"]).alias("credits_amount"))
        )
        stated = pl.concat([stated, refused.select(table.column_names).unique(subset=list(table.key))])
    if stated.height:
        connection.register("incoming", stated)
        mark_statements(connection)
        insert(connection, table, stated)


# Columns that keep the first statement about a row: its time and its amount.
_FIRSTS = ("first_observed_at_utc", "first_stated_amount")


def _firsts(table: Table) -> list[str]:
    return [name for name in _FIRSTS if name in table.column_names]


def _arrived(table: Table, same_key: str) -> str:
    """Query for the rows that replace rows in `standing`, or are new."""
    is_older = "(old.observed_at_utc, old.fetch_id) > (new.observed_at_utc, new.fetch_id)"
    names = _firsts(table)
    if not names:
        return f"SELECT new.* FROM incoming AS new ANTI JOIN standing AS old ON {same_key} AND {is_older}"
    old, new = (f"({', '.join(f'{row}.{name}' for name in names)})" for row in ("old", "new"))
    firsts = ", ".join(f"CASE WHEN {old} < {new} THEN old.{name} ELSE new.{name} END AS {name}" for name in names)
    # A statement that arrives late only changes the columns about the first statement.
    return f"""
        SELECT new.* REPLACE ({firsts}) FROM incoming AS new
        LEFT JOIN standing AS old ON {same_key} WHERE old.fetch_id IS NULL OR NOT {is_older}
        UNION ALL
        SELECT old.* REPLACE ({firsts}) FROM incoming AS new INNER JOIN standing AS old ON {same_key}
        WHERE {is_older} AND {new} < {old}
    """


def upsert(connection: duckdb.DuckDBPyConnection, table: Table, rows: pl.DataFrame) -> None:
    """Merge rows into a record table by its key; the newest statement wins, wherever it is in the load."""
    if not rows.height:
        return
    columns = ", ".join(table.column_names)
    same_key = " AND ".join(f"old.{name} = new.{name}" for name in table.key)
    if rows.select(table.key).is_duplicated().any():
        if firsts := _firsts(table):
            rows = rows.sort(firsts).with_columns(pl.col(name).first().over(table.key) for name in firsts)
        by_time = rows.sort("observed_at_utc", "fetch_id", "row_number")
        rows = by_time.unique(subset=table.key, keep="last", maintain_order=True)
    connection.register("incoming", rows)
    # Existing keys are looked up once: most loads of a ledger only have new ones.
    ((found,),) = connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE standing AS
        SELECT * FROM {table.full_name}
        WHERE rowid IN (SELECT old.rowid FROM {table.full_name} AS old SEMI JOIN incoming AS new ON {same_key})
        """
    ).fetchall()
    arrived = f"({_arrived(table, same_key)})" if found else "incoming"
    mark_rows(connection, table, arrived, has_standing=bool(found))
    if found:
        connection.execute(f"DELETE FROM {table.full_name} AS old USING {arrived} AS new WHERE {same_key}")
    connection.execute(f"INSERT INTO {table.full_name} ({columns}) SELECT {columns} FROM {arrived} AS new")
    connection.execute("DROP TABLE standing")
    connection.unregister("incoming")
