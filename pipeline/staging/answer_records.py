"""What a load records about answers: fetches, counts of rows, rejects and schema drift.

They are stored together after many batches, because a statement costs more than the few rows of a usual batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.models.months import mark_attempts, mark_polls
from pipeline.models.unpublished import note_months_of_rows
from pipeline.schema.render import polars_schema
from pipeline.schema.tables import ALL, Table
from pipeline.staging.answers import Drift, Landed, RecordReading, Reject
from pipeline.vendors import discover
from pipeline.vendors._port import Endpoint, Vendor

_MOST_FETCHES: Final = 20_000
"""Fetches that are kept in memory before they are stored."""
_POLLED: Final = frozenset({"ledger_entries", "orders", "usage_days"})
"""Kinds of records whose requests decide how a balance is read."""


@dataclass(slots=True)
class AnswerRecords:
    """Records of one load that are not yet in the warehouse."""

    connection: duckdb.DuckDBPyConnection
    loaded_at: datetime
    _fetches: list[pa.Table] = field(default_factory=list)
    _fetch_count: int = 0
    _attempts: set[datetime] = field(default_factory=set)
    _polls: list[pa.Table] = field(default_factory=list)
    _counts: list[pl.DataFrame] = field(default_factory=list)
    _rejects: list[pl.DataFrame] = field(default_factory=list)
    _drift: list[pl.DataFrame] = field(default_factory=list)

    def add_fetches(self, batch: pa.Table) -> None:
        """Add a batch of one endpoint's fetches, in the columns of landing. Stores everything if there is much."""
        vendor = discover().get(batch.column("vendor")[0].as_py())
        name = batch.column("endpoint")[0].as_py()
        kinds = {
            records.kind
            for each in (vendor.endpoints if vendor else ())
            if each.name == name
            for records in each.records
        }
        is_reading = "balances" in kinds
        count = batch.num_rows
        incoming = batch.append_column("is_reading", pa.array([is_reading] * count))
        incoming = incoming.append_column(
            "loaded_at_utc", pa.array([self.loaded_at] * count, pa.timestamp("us", tz="UTC"))
        )
        self._fetches.append(incoming.select(list(ALL["staging.fetches"].column_names)))
        self._fetch_count += count
        if is_reading:
            self._attempts.update(pc.unique(batch.column("fetched_at_utc")).to_pylist())
        if kinds & _POLLED:
            self._polls.append(incoming.select(["account_id", "fetched_at_utc"]))
        if self._fetch_count >= _MOST_FETCHES:
            self.store()

    def add_reading(
        self, vendor: Vendor, endpoint: Endpoint, reading: RecordReading, answers: Sequence[Landed]
    ) -> None:
        """Add the counts, rejects and drift of one kind of record of a batch of answers."""
        places = range(len(answers))
        self._counts.append(
            pl.DataFrame(
                {
                    "fetch_id": [answer.fetch_id for answer in answers],
                    "record_kind": [reading.records.kind] * len(answers),
                    "received_rows": reading.received,
                    "accepted_rows": reading.accepted_rows(),
                    "rejected_rows": reading.rejected_rows(),
                    "refused_newest_row": [reading.refused_newest_rows.get(place) for place in places],
                },
                schema=polars_schema(ALL["staging.loads"]),
            )
        )
        if reading.rejects:
            claim = reading.records.constants.get("claim")
            kind = f"{reading.records.kind}:{claim}" if claim else reading.records.kind
            rows = [
                _row(each, vendor, endpoint, answers, "observed_at_utc", record_kind=kind) for each in reading.rejects
            ]
            table = ALL["staging.rejects"]
            found = pl.DataFrame(rows, schema=polars_schema(table))
            self._rejects.append(found.unique(subset=list(table.key), maintain_order=True))
        if reading.drift:
            rows = [_row(each, vendor, endpoint, answers, "first_observed_at_utc") for each in reading.drift]
            self._drift.append(pl.DataFrame(rows, schema=polars_schema(ALL["staging.schema_drift"])))

    def store(self) -> None:
        """Store what was added since the last time. Run inside a transaction."""
        connection = self.connection
        if self._fetches:
            insert(connection, ALL["staging.fetches"], pa.concat_tables(self._fetches))
        if self._attempts:
            mark_attempts(connection, self._attempts)
        if self._polls:
            connection.register("incoming", pa.concat_tables(self._polls))
            mark_polls(connection)
            connection.unregister("incoming")
        if self._counts:
            # Several claims may be read from one answer: their counts are added up under the one kind.
            summed = (
                pl.concat(self._counts)
                .group_by("fetch_id", "record_kind", maintain_order=True)
                .agg(
                    pl.col("received_rows", "accepted_rows", "rejected_rows").sum(), pl.col("refused_newest_row").max()
                )
            )
            insert(connection, ALL["staging.loads"], summed)
        if self._rejects:
            insert(connection, ALL["staging.rejects"], pl.concat(self._rejects))
        if self._drift:
            _store_drift(connection, pl.concat(self._drift))
        for added in (self._fetches, self._attempts, self._polls, self._counts, self._rejects, self._drift):
            added.clear()
        self._fetch_count = 0


def insert(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table | pl.DataFrame) -> None:
    """Append rows to a table, in the table's columns, and note their months as changed, if it is published by month."""
    columns = ", ".join(table.column_names)
    connection.register("incoming", rows)
    connection.execute(f"INSERT INTO {table.full_name} ({columns}) SELECT {columns} FROM incoming")
    if table.published_by:
        note_months_of_rows(connection, table, "incoming")
    connection.unregister("incoming")


def _row(
    found: Reject | Drift, vendor: Vendor, endpoint: Endpoint, answers: Sequence[Landed], time: str, **more: str
) -> dict[str, Any]:
    answer = answers[found.answer]
    return {
        "fetch_id": answer.fetch_id,
        "vendor": vendor.name,
        "account_id": answer.account_id,
        "endpoint": endpoint.name,
        "row_number": found.row_number,
        "column_name": found.column_name,
        "check_name": found.check_name,
        "redacted_value": found.value,
        time: answer.fetched_at_utc,
        **more,
    }


def _store_drift(connection: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    """Merge changes of shape: the first observation of each counts, in whatever order answers are loaded."""
    table = ALL["staging.schema_drift"]
    key, columns = ", ".join(table.key), ", ".join(table.column_names)
    connection.register("incoming", rows)
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
