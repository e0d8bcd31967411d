"""Loading: what is in landing and not yet in the warehouse, read and merged in one transaction.

What is loaded is known by fetch id, so files may be merged, moved or found late. The newest statement of a key wins,
by the time of the question and then by fetch id, in whatever order the answers are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.exact import NotJson, decode_json
from pipeline.landing import store
from pipeline.lineage import direct_sources, vendor_fields
from pipeline.schema.render import polars_schema
from pipeline.schema.tables import ALL, Table, published, vendor_table
from pipeline.staging.accounts import load_runs
from pipeline.staging.aliases import known_aliases, read_aliases, store_aliases
from pipeline.staging.byhand import names_its_time
from pipeline.staging.gathering import Gathering
from pipeline.staging.months import (
    Spans,
    begin,
    settle,
    touch_attempts,
    touch_polls,
    touch_rows,
    touch_statements,
    touching_retracted,
)
from pipeline.staging.present import Present
from pipeline.staging.rates import load_rates
from pipeline.staging.read import Landed, Reading, read_endpoint
from pipeline.tabular import NotCsv, decode_csv
from pipeline.vendors import discover
from pipeline.vendors._port import Endpoint, Vendor

# What says how the warehouse is laid out, not what landing holds.
_KEPT_WHEN_EMPTIED = ("staging.layout",)
# The columns of landing that reading an answer needs.
_READ = ["fetch_id", "run_id", "account_id", "window_from_date", "window_to_date", "fetched_at_utc", "body"]


@dataclass(slots=True)
class LoadReport:
    """What one load did."""

    fetches: int = 0
    failed_fetches: int = 0
    received: int = 0
    accepted: int = 0
    rejected: int = 0
    accepted_by_table: dict[str, int] = field(default_factory=dict)
    future_fetches: int = 0
    """Answers that were left in landing, because they are from the future."""
    is_reloaded: bool = False
    """All that was loaded before was loaded again."""


def load(connection: duckdb.DuckDBPyConnection, landing: Path, known_at: datetime | None = None) -> LoadReport:
    """Load every fetch that landing holds and the warehouse does not, up to `known_at`. Run inside a transaction.

    Answers from the future (`pipeline.staging.present`) are not loaded. Where an earlier run, whose clock was ahead,
    has loaded such answers, or where an account has another name than it was loaded under, everything is loaded again.

    Raises DrawdownError for a landing file that is not whole: landing is the proof, and a gap in it must not pass
    unsaid.
    """
    report = LoadReport()
    begin(connection)
    spans = Spans(connection)
    loaded_at = datetime.now(UTC)
    present = _load_runs(connection, landing, known_at, loaded_at, report)
    aliases = read_aliases(connection)
    wanted = known_aliases(connection)
    if (present and present.has_loaded_future(connection)) or (aliases != wanted and _has_loaded(connection)):
        _empty(connection)
        report = LoadReport(is_reloaded=True)
        present = _load_runs(connection, landing, known_at, loaded_at, report)
    store_aliases(connection, wanted)
    folders = [folder for folder in store.day_folders(landing) if folder.parts[-5:-3] != (store.OWN, store.RUNS)]
    gathered = Gathering(connection, landing, known_at, present)
    for batch, read in _read_ahead(map(wanted.renamed, gathered.batches(folders))):
        report.fetches += batch.num_rows
        if (batch.column("vendor")[0].as_py(), batch.column("endpoint")[0].as_py()) == (store.OWN, store.FX_RATES):
            load_rates(connection, batch)
        _load_fetch_rows(connection, batch, loaded_at)
        if read is not None:
            _load_batch(connection, batch, read, loaded_at, report)
    report.future_fetches = gathered.future_fetches
    spans.touch_differences()
    settle(connection)
    _tell_sources(connection)
    return report


def _load_runs(
    connection: duckdb.DuckDBPyConnection,
    landing: Path,
    known_at: datetime | None,
    loaded_at: datetime,
    report: LoadReport,
) -> Present | None:
    """Load the records of runs, which say what the present is and which accounts there are; returns the newest run."""
    folders = store.day_folders(landing, store.OWN, store.RUNS)
    gathered = list(Gathering(connection, landing, known_at, None).batches(folders))
    known = connection.execute(
        "SELECT fetch_id, fetched_at_utc FROM staging.fetches WHERE vendor = ? AND endpoint = ?",
        [store.OWN, store.RUNS],
    ).fetchall()
    runs = [*known]
    for batch in gathered:
        columns = (batch.column(name).to_pylist() for name in ("fetch_id", "fetched_at_utc"))
        runs += list(zip(*columns, strict=True))
    present = Present.among(runs)
    loaded: list[str] = []
    for batch in gathered:
        if present is not None:
            batch = batch.filter(present.is_past(batch))
        if batch.num_rows:
            report.fetches += batch.num_rows
            _load_fetch_rows(connection, batch, loaded_at)
            loaded += batch.column("fetch_id").to_pylist()
    load_runs(connection, landing, loaded)
    return present


def _has_loaded(connection: duckdb.DuckDBPyConnection) -> bool:
    return bool(connection.execute("SELECT 1 FROM staging.fetches WHERE vendor <> ? LIMIT 1", [store.OWN]).fetchall())


def _empty(connection: duckdb.DuckDBPyConnection) -> None:
    """Forget all that was made of landing, so that it is made again: tables recomputed by month owe all they have."""
    rows = connection.execute(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name IN ('staging', 'core', 'forecasts', 'marts', 'alerts') AND NOT temporary"
    ).fetchall()
    for (name,) in rows:
        if name not in _KEPT_WHEN_EMPTIED:
            connection.execute(f"DELETE FROM {name}")


def _tell_sources(connection: duckdb.DuckDBPyConnection) -> None:
    """Say of every published column where it comes from: the database's own catalogue does not."""
    rows = [
        (table.full_name, column, ", ".join(sources) or None, ", ".join(vendor_fields(table.full_name, column)) or None)
        for table in published()
        for column, sources in direct_sources()[table.full_name].items()
    ]
    known = connection.execute("SELECT table_name, column_name, source, vendor_fields FROM staging.column_sources")
    if set(known.fetchall()) == set(rows):
        return
    told = pl.DataFrame(rows, schema=polars_schema(ALL["staging.column_sources"]), orient="row")
    connection.register("told", told)
    connection.execute("DELETE FROM staging.column_sources")
    connection.execute("INSERT INTO staging.column_sources BY NAME SELECT * FROM told")
    connection.unregister("told")


@dataclass(frozen=True, slots=True)
class _Read:
    """What a batch of answers says."""

    vendor: Vendor
    endpoint: Endpoint
    answers: list[Landed]
    readings: list[Reading]


def _read_ahead(batches: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, _Read | None]]:
    """Each batch with what it says; the next one is read while this one is stored, which is DuckDB's work."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read") as reader:
        last: tuple[pa.Table, Future[_Read | None]] | None = None
        for batch in batches:
            following = batch, reader.submit(_read, batch)
            if last is not None:
                yield last[0], last[1].result()
            last = following
        if last is not None:
            yield last[0], last[1].result()


def _read(batch: pa.Table) -> _Read | None:
    """Decode a batch's good answers; None where nobody knows how to."""
    vendor = discover().get(batch.column("vendor")[0].as_py())
    if vendor is None:
        return None
    try:
        endpoint = vendor.endpoint(batch.column("endpoint")[0].as_py())
    except KeyError:
        return None
    good = batch.filter(pc.equal(batch.column("outcome"), "ok"))
    answers = [_landed(row, endpoint) for row in good.select(_READ).to_pylist()]
    readings = read_endpoint(endpoint, answers, money_is_float=vendor.money_is_float) if answers else []
    return _Read(vendor, endpoint, answers, readings)


def _load_fetch_rows(connection: duckdb.DuckDBPyConnection, batch: pa.Table, loaded_at: datetime) -> None:
    table = ALL["staging.fetches"]
    vendor = discover().get(batch.column("vendor")[0].as_py())
    name = batch.column("endpoint")[0].as_py()
    kinds = {
        records.kind for each in (vendor.endpoints if vendor else ()) if each.name == name for records in each.records
    }
    is_reading = "balances" in kinds
    incoming = batch.append_column("is_reading", pa.array([is_reading] * batch.num_rows))
    incoming = incoming.append_column(
        "loaded_at_utc", pa.array([loaded_at] * batch.num_rows, pa.timestamp("us", tz="UTC"))
    )
    _insert(connection, table, incoming.select(list(table.column_names)))
    if is_reading:
        touch_attempts(connection, pc.unique(batch.column("fetched_at_utc")).to_pylist())
    if kinds & {"ledger_entries", "orders", "usage_days"}:
        connection.register("incoming", incoming.select(["account_id", "fetched_at_utc"]))
        touch_polls(connection)
        connection.unregister("incoming")


def _insert(connection: duckdb.DuckDBPyConnection, table: Table, rows: pa.Table | pl.DataFrame) -> None:
    columns = ", ".join(table.column_names)
    connection.register("incoming", rows)
    connection.execute(f"INSERT INTO {table.full_name} ({columns}) SELECT {columns} FROM incoming")
    connection.unregister("incoming")


def _load_batch(
    connection: duckdb.DuckDBPyConnection, batch: pa.Table, read: _Read, loaded_at: datetime, report: LoadReport
) -> None:
    absent = pa.array([str(each) for each in read.endpoint.absent_outcomes], pa.string())
    absent_count = pc.sum(pc.is_in(batch.column("outcome"), absent)).as_py() or 0
    report.failed_fetches += batch.num_rows - len(read.answers) - absent_count
    for reading in read.readings:
        _store(connection, read.vendor, read.endpoint, reading, read.answers, loaded_at, report)


def _landed(row: dict[str, Any], endpoint: Endpoint) -> Landed:
    try:
        payload = decode_csv(row["body"]) if endpoint.body == "csv" else decode_json(row["body"])
    except (NotJson, NotCsv) as problem:
        # The client only calls an answer ok when it decodes; a body that no longer does was changed on disk.
        raise ValueError(f"landing holds a damaged body: fetch {row['fetch_id']}: {problem}") from None
    return Landed(
        fetch_id=str(row["fetch_id"]),
        run_id=str(row["run_id"]),
        account_id=str(row["account_id"]),
        window_from_date=_date(row["window_from_date"]),
        window_to_date=_date(row["window_to_date"]),
        fetched_at_utc=_instant(row["fetched_at_utc"]),
        payload=payload,
    )


def _date(value: object) -> date | None:
    return value if isinstance(value, date) else None


def _instant(value: object) -> datetime:
    assert isinstance(value, datetime)  # noqa: S101 - the column's type says so
    return value


def _store(
    connection: duckdb.DuckDBPyConnection,
    vendor: Vendor,
    endpoint: Endpoint,
    reading: Reading,
    answers: Sequence[Landed],
    loaded_at: datetime,
    report: LoadReport,
) -> None:
    kind = reading.records.kind
    table = vendor_table(vendor.name, kind)
    rows = reading.accepted.with_columns(pl.lit(loaded_at).alias("loaded_at_utc").cast(pl.Datetime("us", "UTC")))
    if names_its_time(reading.records):
        with touching_retracted(connection, sorted({answer.account_id for answer in answers})):
            upsert(connection, table, rows.select(table.column_names))
    else:
        upsert(connection, table, rows.select(table.column_names))
    if kind == "usage_days":
        _store_statements(connection, rows)
    received, accepted, rejected = reading.received, reading.accepted_rows(), reading.rejected_rows()
    report.received += sum(received)
    report.accepted += sum(accepted)
    report.rejected += sum(rejected)
    report.accepted_by_table[table.full_name] = report.accepted_by_table.get(table.full_name, 0) + sum(accepted)
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
    # Several claims may be read from one answer: their counts add up under the one kind.
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


def _store_statements(connection: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    """Keep what each answer stated of a day, beside what the newest one does."""
    table = ALL["staging.usage_statements"]
    stated = rows.sort("row_number").unique(subset=list(table.key), keep="last").select(table.column_names)
    if stated.height:
        connection.register("incoming", stated)
        touch_statements(connection)
        _insert(connection, table, stated)


# What a table may keep of the first that was said of a row: when, and how much.
_FIRSTS = ("first_observed_at_utc", "first_stated_amount")


def _firsts(table: Table) -> list[str]:
    return [name for name in _FIRSTS if name in table.column_names]


def _arrived(table: Table, same_key: str) -> str:
    """The query for the rows that take the place of those standing, if any."""
    is_older = "(old.observed_at_utc, old.fetch_id) > (new.observed_at_utc, new.fetch_id)"
    names = _firsts(table)
    if not names:
        return f"SELECT new.* FROM incoming AS new ANTI JOIN standing AS old ON {same_key} AND {is_older}"
    old, new = (f"({', '.join(f'{row}.{name}' for name in names)})" for row in ("old", "new"))
    firsts = ", ".join(f"CASE WHEN {old} < {new} THEN old.{name} ELSE new.{name} END AS {name}" for name in names)
    # A statement that comes late changes nothing but what was first.
    return f"""
        SELECT new.* REPLACE ({firsts}) FROM incoming AS new
        LEFT JOIN standing AS old ON {same_key} WHERE old.fetch_id IS NULL OR NOT {is_older}
        UNION ALL
        SELECT old.* REPLACE ({firsts}) FROM incoming AS new INNER JOIN standing AS old ON {same_key}
        WHERE {is_older} AND {new} < {old}
    """


def upsert(connection: duckdb.DuckDBPyConnection, table: Table, rows: pl.DataFrame) -> None:
    """Merge rows into a record table by its key; the newest statement wins, wherever it stands in the load."""
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
    # What is known of these keys is looked up once: most loads bring nothing but new ones.
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
    reading: Reading,
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
    _insert(connection, table, rows.unique(subset=list(table.key), maintain_order=True))


def _store_drift(
    connection: duckdb.DuckDBPyConnection,
    vendor: Vendor,
    endpoint: Endpoint,
    reading: Reading,
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
    # The first sight of a change stands, in whatever order answers are loaded.
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
