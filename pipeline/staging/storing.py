"""Storing of records: rows merged by key, counts of each answer, rejects, and schema drift."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl
import pyarrow as pa

from pipeline.models.months import touch_rows, touch_statements, touching_retracted
from pipeline.schema.render import polars_schema
from pipeline.schema.tables import ALL, Table, vendor_table
from pipeline.staging.byhand import names_its_time
from pipeline.staging.record_reading import Landed, RecordReading
from pipeline.vendors._port import Endpoint, Vendor


def insert(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table | pl.DataFrame) -> None:
    """Append rows to a table, in the table's columns."""
    columns = ", ".join(table.column_names)
    connection.register("incoming", rows)
    connection.execute(f"INSERT INTO {table.full_name} ({columns}) SELECT {columns} FROM incoming")
    connection.unregister("incoming")


def store_reading(
    connection: duckdb.DuckDBPyConnection,
    vendor: Vendor,
    endpoint: Endpoint,
    reading: RecordReading,
    answers: Sequence[Landed],
    loaded_at: datetime,
) -> None:
    """Store one kind of record of a batch of answers: accepted rows, counts, rejects, schema drift.

    Run inside a transaction.
    """
    kind = reading.records.kind
    table = vendor_table(vendor.name, kind)
    rows = reading.accepted.with_columns(pl.lit(loaded_at).alias("loaded_at_utc").cast(pl.Datetime("us", "UTC")))
    if names_its_time(reading.records):
        with touching_retracted(connection, sorted({answer.account_id for answer in answers})):
            upsert(connection, table, rows.select(table.column_names))
    else:
        upsert(connection, table, rows.select(table.column_names))
    if kind == "usage_days":
        _store_statements(connection, rows, reading)
    received, accepted, rejected = reading.received, reading.accepted_rows(), reading.rejected_rows()
    connection.register(
        "incoming",
        pl.DataFrame(
            {
                "fetch_id": [answer.fetch_id for answer in answers],
                "received_rows": received,
                "accepted_rows": accepted,
                "rejected_rows": rejected,
                "refused_newest_row": [reading.refused_newest_rows.get(place) for place in range(len(answers))],
            },
            schema_overrides={"refused_newest_row": pl.Int64},
        ),
    )
    # Several claims may be read from one answer: their counts are added up under the one kind.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE summed AS
        SELECT fetch_id, record_kind, sum(received_rows) AS received_rows, sum(accepted_rows) AS accepted_rows,
            sum(rejected_rows) AS rejected_rows, max(refused_newest_row) AS refused_newest_row
        FROM (
            SELECT fetch_id, '{kind}' AS record_kind, received_rows, accepted_rows, rejected_rows, refused_newest_row
            FROM incoming
            UNION ALL BY NAME
            SELECT * FROM staging.loads
            WHERE record_kind = '{kind}' AND fetch_id IN (SELECT fetch_id FROM incoming)
        ) GROUP BY fetch_id, record_kind
        """
    )
    connection.unregister("incoming")
    connection.execute(
        f"DELETE FROM staging.loads WHERE record_kind = '{kind}' AND fetch_id IN (SELECT fetch_id FROM summed)"
    )
    connection.execute("INSERT INTO staging.loads BY NAME SELECT * FROM summed")
    connection.execute("DROP TABLE summed")
    _store_rejects(connection, vendor, endpoint, reading, answers)
    _store_drift(connection, vendor, endpoint, reading, answers)


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
        touch_statements(connection)
        insert(connection, table, stated)


# Columns that keep the first statement about a row: its time and its amount.
_FIRSTS = ("first_observed_at_utc", "first_stated_amount")


def _firsts(table: Table) -> list[str]:
    return [name for name in _FIRSTS if name in table.column_names]


def _arrived(table: Table, same_key: str) -> str:
    """Query for the rows that replace existing ones, if any."""
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
    # Existing keys are looked up once: most loads only have new ones.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE standing AS
        SELECT * FROM {table.full_name}
        WHERE rowid IN (SELECT old.rowid FROM {table.full_name} AS old SEMI JOIN incoming AS new ON {same_key})
        """
    )
    connection.execute(f"CREATE OR REPLACE TEMP VIEW arrived AS {_arrived(table, same_key)}")
    touch_rows(connection, table)
    if connection.execute("SELECT 1 FROM standing LIMIT 1").fetchall():
        connection.execute(f"DELETE FROM {table.full_name} AS old USING arrived AS new WHERE {same_key}")
    connection.execute(f"INSERT INTO {table.full_name} ({columns}) SELECT {columns} FROM arrived")
    connection.execute("DROP VIEW arrived")
    connection.execute("DROP TABLE standing")
    connection.unregister("incoming")


def _store_rejects(
    connection: duckdb.DuckDBPyConnection,
    vendor: Vendor,
    endpoint: Endpoint,
    reading: RecordReading,
    answers: Sequence[Landed],
) -> None:
    if not reading.rejects:
        return
    table = ALL["staging.rejects"]
    claim = reading.records.constants.get("claim")
    kind = f"{reading.records.kind}:{claim}" if claim else reading.records.kind
    rows = pl.DataFrame(
        [
            {
                "fetch_id": answers[each.answer].fetch_id,
                "vendor": vendor.name,
                "account_id": answers[each.answer].account_id,
                "endpoint": endpoint.name,
                "record_kind": kind,
                "row_number": each.row_number,
                "column_name": each.column_name,
                "check_name": each.check_name,
                "redacted_value": each.value,
                "observed_at_utc": answers[each.answer].fetched_at_utc,
            }
            for each in reading.rejects
        ],
        schema=polars_schema(table),
    )
    insert(connection, table, rows.unique(subset=list(table.key), maintain_order=True))


def _store_drift(
    connection: duckdb.DuckDBPyConnection,
    vendor: Vendor,
    endpoint: Endpoint,
    reading: RecordReading,
    answers: Sequence[Landed],
) -> None:
    if not reading.drift:
        return
    table = ALL["staging.schema_drift"]
    rows = pl.DataFrame(
        [
            {
                "fetch_id": answers[each.answer].fetch_id,
                "vendor": vendor.name,
                "account_id": answers[each.answer].account_id,
                "endpoint": endpoint.name,
                "row_number": each.row_number,
                "column_name": each.column_name,
                "check_name": each.check_name,
                "redacted_value": each.value,
                "first_observed_at_utc": answers[each.answer].fetched_at_utc,
            }
            for each in reading.drift
        ],
        schema=polars_schema(table),
    )
    key = ", ".join(table.key)
    columns = ", ".join(table.column_names)
    connection.register("incoming", rows)
    # The first observation of a change counts, in whatever order answers are loaded.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE arrived AS
        SELECT {columns} FROM (
            SELECT *, row_number() OVER (
                PARTITION BY {key} ORDER BY first_observed_at_utc, fetch_id, row_number
            ) AS place
            FROM (
                SELECT {columns} FROM incoming
                UNION ALL
                SELECT {columns} FROM staging.schema_drift
                WHERE ({key}) IN (SELECT ({key}) FROM incoming)
            )
        ) WHERE place = 1
        """
    )
    connection.unregister("incoming")
    connection.execute(f"DELETE FROM staging.schema_drift WHERE ({key}) IN (SELECT ({key}) FROM arrived)")
    connection.execute(f"INSERT INTO staging.schema_drift ({columns}) SELECT {columns} FROM arrived")
    connection.execute("DROP TABLE arrived")
