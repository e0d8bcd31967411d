"""Invariants after every fault: one check for all rows of the matrix, as a fixture of every marked test.

The warehouse opens in the writer's own way: its lock is free, and its log replays. No answer is stored in part.
Received = accepted + rejected. Readers open a complete build. And no key is stored anywhere.
"""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.landing.store import OWN, day_folders, each
from pipeline.support.home import Home
from pipeline.vendors import discover
from pipeline.warehouse.writer import Warehouse
from tests.faults.summary import CHECKED

_checked: dict[Path, list[tuple[str, int]]] = {}


@pytest.fixture
def aftermath(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test of a row, check every state folder that it used. Set up last, so torn down first."""
    with listening() as heard:
        yield
    for value in list(request.node.funcargs.values()):
        home = getattr(value, "home", None)
        home = Home(home) if isinstance(home, Path) else home
        if not isinstance(home, Home):
            continue
        if isinstance(warehouse := getattr(value, "warehouse", None), Warehouse):
            warehouse.close()
        if not home.warehouse.exists():
            continue
        keys = list((getattr(value, "keys", None) or {}).values())
        assert not _contains_key(heard.getvalue(), keys), "a key is in the log"
        # A state shared by several tests is only checked again after a change.
        if _checked.get(home.path) != _state(home):
            check(home, keys)
            _checked[home.path] = _state(home)
        request.node.user_properties.append((CHECKED, True))


@contextmanager
def listening() -> Iterator[io.StringIO]:
    """Everything that any logger logs, at the lowest level."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    names = ("", "httpx", "httpcore", "httpcore.http11", "httpcore.connection", "pyrate_limiter", "asyncio")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger().addHandler(handler)
    try:
        yield heard
    finally:
        logging.getLogger().removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _state(home: Home) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in home.path.rglob("*") if path.is_file())


def check(home: Home, keys: Iterable[str] = (), *texts: str) -> None:
    """Raise AssertionError for anything that a fault must not leave in a state folder, or in printed output."""
    keys = list(keys)
    assert not any(_contains_key(text, keys) for text in texts), "a key was printed"
    forms = {form for key in keys for form in disguises(key)}
    warehouse = Warehouse(home, wait_seconds=10)
    try:
        connection = warehouse.connection
        _accounts_for_every_row(connection)
        _is_not_torn(connection, home)
        assert _tables_with(connection, forms) == []
    finally:
        warehouse.close()
    if home.current.is_symlink():
        with duckdb.connect(home.current.resolve(), read_only=True) as reader:
            assert reader.execute("SELECT count(*) > 0 FROM marts.build_info").fetchall() == [(True,)]
            assert _tables_with(reader, forms) == []
    assert [str(path) for path in _files_with(home.path, forms)] == []


def _contains_key(text: str, keys: Iterable[str]) -> bool:
    return any(form in text for key in keys for form in disguises(key))


def disguises(key: str) -> set[str]:
    """Encodings of the key that a server may echo; independent of the code under test."""
    return {
        key,
        json.dumps(key)[1:-1],
        quote(key, safe=""),
        quote_plus(key),
        html.escape(key),
        base64.b64encode(key.encode()).decode().rstrip("="),
        repr(key)[1:-1],
    }


def _accounts_for_every_row(connection: duckdb.DuckDBPyConnection) -> None:
    unbalanced = connection.execute(
        """
        SELECT loads.fetch_id, loads.record_kind FROM staging.loads AS loads
        LEFT JOIN (
            SELECT fetch_id, split_part(record_kind, ':', 1) AS record_kind,
                count(DISTINCT (record_kind, row_number)) AS stored_rows
            FROM staging.rejects GROUP BY ALL
        ) AS stored ON loads.fetch_id = stored.fetch_id AND loads.record_kind = stored.record_kind
        WHERE loads.received_rows <> loads.accepted_rows + loads.rejected_rows
            OR loads.rejected_rows <> coalesce(stored.stored_rows, 0)
        """
    ).fetchall()
    assert unbalanced == [], "received = accepted + rejected"


def _is_not_torn(connection: duckdb.DuckDBPyConnection, home: Home) -> None:
    """An answer is loaded once, with all of its kinds of records, or not at all."""
    loaded = connection.execute("SELECT fetch_id, vendor, endpoint, outcome FROM staging.fetches").fetchall()
    assert len({row[0] for row in loaded}) == len(loaded), "an answer is loaded twice"
    landed = {
        fetch_id
        for folder in day_folders(home.landing)
        for _, table in each(folder, ["fetch_id"])
        for fetch_id in table.column("fetch_id").to_pylist()
    }
    assert {row[0] for row in loaded} <= landed, "the warehouse holds what landing does not"
    kinds = {
        (vendor.name, endpoint.name): {records.kind for records in endpoint.records}
        for vendor in discover().values()
        for endpoint in vendor.endpoints
    }
    booked: dict[str, set[str]] = {}
    for fetch_id, kind in connection.execute("SELECT fetch_id, record_kind FROM staging.loads").fetchall():
        booked.setdefault(fetch_id, set()).add(kind)
    for fetch_id, vendor, endpoint, outcome in loaded:
        if outcome == "ok" and vendor != OWN:
            assert booked.get(fetch_id, set()) == kinds.get((vendor, endpoint), set()), f"{fetch_id} is loaded in part"
    for (name,) in connection.execute(
        "SELECT DISTINCT table_name FROM duckdb_columns() WHERE schema_name = 'staging' AND column_name = 'fetch_id' "
        "AND table_name IN (SELECT table_name FROM duckdb_tables() WHERE schema_name = 'staging')"
    ).fetchall():
        orphans = connection.execute(
            f"SELECT count(*) FROM staging.{name} WHERE fetch_id NOT IN (SELECT fetch_id FROM staging.fetches)"
        ).fetchall()
        assert orphans == [(0,)], f"staging.{name} holds rows of answers that are not loaded"


def _tables_with(connection: duckdb.DuckDBPyConnection, forms: set[str]) -> list[str]:
    if not forms:
        return []
    wanted = " OR ".join("contains(whole, ?)" for _ in forms)
    return [
        f"{schema}.{name}"
        for schema, name in connection.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
        if connection.execute(
            f"SELECT count(*) FROM (SELECT CAST(t AS VARCHAR) AS whole FROM {schema}.{name} AS t) WHERE {wanted}",
            list(forms),
        ).fetchall()
        != [(0,)]
    ]


def _files_with(folder: Path, forms: set[str]) -> Iterator[Path]:
    """Files that contain a key, plain or within a compressed or paged format."""
    for path in folder.rglob("*") if forms else ():
        if path.is_file() and any(form in text for text in _texts(path) for form in forms):
            yield path


def _texts(path: Path) -> Iterator[str]:
    raw = path.read_bytes()
    yield raw.decode("latin-1")
    # A kill can leave a temporary file that consists of the opening bytes.
    if len(raw) > 4 and raw[:4] == b"PAR1" == raw[-4:]:
        for column in pq.read_table(path).columns:
            for value in column.to_pylist():
                yield value.decode("latin-1") if isinstance(value, bytes) else str(value)
    elif raw.startswith(b"SQLite format 3\0"):
        # A long text is stored on several pages, with other bytes between.
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            yield "\n".join(connection.iterdump())
