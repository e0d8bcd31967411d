"""Load what is in landing and not yet in the warehouse, in one transaction.

Fetch ids tell what has been loaded, so files may be merged, moved or found late. If several answers state the same key,
the newest wins, by the time of its request and then by fetch id, whatever the order in which they are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.landing import store
from pipeline.models.months import Spans, begin, settle
from pipeline.schema.tables import vendor_table
from pipeline.staging.accounts import load_runs
from pipeline.staging.aliases import Aliases, known_aliases, read_aliases, store_aliases
from pipeline.staging.answer_records import AnswerRecords
from pipeline.staging.answer_summaries import summarize
from pipeline.staging.gathering import Gathering
from pipeline.staging.present import Present
from pipeline.staging.published_statuses import load_statuses
from pipeline.staging.rate_tables import load_rates
from pipeline.staging.record_reading import Landed, RecordReading, read_endpoint
from pipeline.staging.storing import store_reading
from pipeline.support.exact_json import NotJson, decode_json
from pipeline.support.free_memory import return_freed_memory
from pipeline.support.tabular import NotCsv, decode_csv
from pipeline.vendors import discover
from pipeline.vendors._port import Endpoint, Vendor
from pipeline.warehouse.writer import use_all_threads

_KEPT_WHEN_EMPTIED = ("staging.layout", "staging.column_sources")
"""Tables that describe the warehouse's tables, and not what landing holds."""

_MANY_ROWS = 20_000
"""Rows in one load from which several threads are faster: a first load begins with an empty warehouse."""

_READ = ["fetch_id", "run_id", "account_id", "window_from_date", "window_to_date", "fetched_at_utc", "body"]
"""The columns of landing that are needed to read an answer."""


@dataclass(slots=True)
class LoadReport:
    """What one load did: counts of fetches and of their rows."""

    fetches: int = 0
    failed_fetches: int = 0
    """Fetches with an outcome other than ok, except those that only mean that an optional endpoint is absent."""
    received: int = 0
    """Rows in the answers; each is accepted, rejected, or merged into another one."""
    accepted: int = 0
    rejected: int = 0
    accepted_by_table: dict[str, int] = field(default_factory=dict)
    """By the table of the record kind, with its schema."""
    future_fetches: int = 0
    """Answers that are left in landing, because they are from the future."""
    is_reloaded: bool = False
    """Whether everything in landing was loaded again."""

    def count(self, table: str, reading: RecordReading) -> None:
        """Add the rows of one kind of record of a batch of answers."""
        received, accepted, rejected = map(sum, (reading.received, reading.accepted_rows(), reading.rejected_rows()))
        self.received += received
        self.accepted += accepted
        self.rejected += rejected
        self.accepted_by_table[table] = self.accepted_by_table.get(table, 0) + accepted


def load(
    connection: duckdb.DuckDBPyConnection,
    landing: Path,
    known_at: datetime | None = None,
    *,
    is_own_only: bool = False,
) -> LoadReport:
    """Load every fetch that landing holds and the warehouse does not, up to `known_at`. Run inside a transaction.

    - `connection`: the writer's, to a warehouse that has its tables. They are all that changes.
    - `landing`: the folder of landing.
    - `known_at`: load only what had been fetched by this instant; None for everything.
    - `is_own_only`: load Drawdown's own entries, and no answers of vendors.

    Answers from the future (`pipeline.staging.present`) are not loaded. Everything is loaded again if an earlier run,
    whose clock was ahead, has loaded such answers, or if an account was renamed since it was loaded.

    Raises DrawdownError for a damaged landing file, and ValueError for a body that no longer decodes: landing is the
    evidence for every number, and a gap in it must not go unnoticed.
    """
    report = LoadReport()
    begin(connection)
    spans = Spans(connection)
    records = AnswerRecords(connection, datetime.now(UTC))
    present = _load_runs(connection, landing, known_at, records, report)
    aliases = read_aliases(connection)
    wanted = known_aliases(connection)
    is_renamed = aliases != wanted and not is_own_only and _has_loaded(connection)
    if (present and present.has_loaded_future(connection)) or is_renamed:
        _empty(connection)
        report = LoadReport(is_reloaded=True)
        present = _load_runs(connection, landing, known_at, records, report)
    store_aliases(connection, wanted)
    folders = [
        folder
        for folder in store.day_folders(landing, store.OWN if is_own_only else "*")
        if folder.parts[-5:-3] != (store.OWN, store.RUNS)
    ]
    gathered = Gathering(connection, landing, known_at, present)
    for batch, read in _read_ahead(map(wanted.renamed, gathered.batches(folders))):
        report.fetches += batch.num_rows
        if batch.column("vendor")[0].as_py() == store.OWN:
            _load_own(connection, batch, wanted)
        records.add_fetches(batch)
        if read is not None:
            _load_batch(connection, batch, read, records, report)
        if report.received >= _MANY_ROWS:
            use_all_threads(connection)
            return_freed_memory()
    records.store()
    report.future_fetches = gathered.future_fetches
    summarize(connection, records.loaded_at)
    spans.mark_differences()
    settle(connection)
    return report


def _load_runs(
    connection: duckdb.DuckDBPyConnection,
    landing: Path,
    known_at: datetime | None,
    records: AnswerRecords,
    report: LoadReport,
) -> Present | None:
    """Load the records of runs, which define the present and the accounts; return the present, None without a run."""
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
            records.add_fetches(batch)
            loaded += batch.column("fetch_id").to_pylist()
    records.store()
    load_runs(connection, landing, loaded, gathered)
    return present


def _load_own(connection: duckdb.DuckDBPyConnection, batch: pa.Table, aliases: Aliases) -> None:
    """Load Drawdown's own entries of the kinds that staging has tables for."""
    kind = batch.column("endpoint")[0].as_py()
    if kind == store.FX_RATES:
        load_rates(connection, batch)
    elif kind == store.STATUSES:
        load_statuses(connection, batch, aliases)


def _has_loaded(connection: duckdb.DuckDBPyConnection) -> bool:
    return bool(connection.execute("SELECT 1 FROM staging.fetches WHERE vendor <> ? LIMIT 1", [store.OWN]).fetchall())


def _empty(connection: duckdb.DuckDBPyConnection) -> None:
    """Delete everything that was made from landing, and mark all months of monthly tables as dirty."""
    rows = connection.execute(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name IN ('staging', 'core', 'forecasts', 'marts', 'alerts') AND NOT temporary"
    ).fetchall()
    for (name,) in rows:
        if name not in _KEPT_WHEN_EMPTIED:
            connection.execute(f"DELETE FROM {name}")


@dataclass(frozen=True, slots=True)
class _Read:
    """The answers of a batch, all of one endpoint, without their bodies, and their rows by kind of record."""

    vendor: Vendor
    endpoint: Endpoint
    answers: list[Landed]
    readings: list[RecordReading]


def _read_ahead(batches: Iterator[pa.Table]) -> Iterator[tuple[pa.Table, _Read | None]]:
    """Yield each batch with its rows; the next one is read in a thread while DuckDB stores this one."""
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
    """Decode the answers of a batch that have the outcome ok; None for an unknown vendor or endpoint.

    Raises ValueError for a body that does not decode.
    """
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
    # The decoded bodies take several times the memory of their rows, and this waits until the rows before are stored.
    return _Read(vendor, endpoint, [replace(answer, payload=None) for answer in answers], readings)


def _load_batch(
    connection: duckdb.DuckDBPyConnection, batch: pa.Table, read: _Read, records: AnswerRecords, report: LoadReport
) -> None:
    absent = pa.array([str(each) for each in read.endpoint.absent_outcomes], pa.string())
    absent_count = pc.sum(pc.is_in(batch.column("outcome"), absent)).as_py() or 0
    report.failed_fetches += batch.num_rows - len(read.answers) - absent_count
    for reading in read.readings:
        store_reading(connection, read.vendor, reading, read.answers, records.loaded_at)
        records.add_reading(read.vendor, read.endpoint, reading, read.answers)
        report.count(vendor_table(read.vendor.name, reading.records.kind).full_name, reading)


def _landed(row: dict[str, Any], endpoint: Endpoint) -> Landed:
    try:
        payload = decode_csv(row["body"]) if endpoint.body == "csv" else decode_json(row["body"])
    except (NotJson, NotCsv) as problem:
        # The HTTP client calls an answer ok only if it decodes: this body was changed on disk.
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
