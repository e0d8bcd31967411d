"""The canary sweep finds a key in any place and encoding; a sweep that finds nothing proves nothing."""

from __future__ import annotations

import base64
import gzip
import html
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.canary import leaks
from tests.http.conftest import CANARY

OTHERWISE = "another-word/Zq+9<&k3y"
PADDING = b"so that compression is worth it " * 64


def parquet(path: Path, body: bytes) -> None:
    table = pa.table({"number": [1, 2], "body": pa.array([b"", PADDING + body], pa.binary())})
    pq.write_table(table, path, compression="zstd")


def nested(path: Path, body: bytes) -> None:
    parquet(path.with_name("inner"), body)
    inner = path.with_name("inner").read_bytes()
    path.with_name("inner").unlink()
    parquet(path, inner)


def structs(path: Path, body: bytes) -> None:
    text = (PADDING + body).decode("latin-1")
    pq.write_table(pa.table({"notes": [[{"of": "x", "text": text}]]}), path, compression="zstd")


def database(path: Path, body: bytes) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("CREATE SCHEMA deep; CREATE TABLE deep.notes (number INTEGER, body BLOB)")
        connection.execute("INSERT INTO deep.notes VALUES (1, ?)", [PADDING + body])


def log(path: Path, body: bytes) -> None:
    connection = duckdb.connect(path)
    connection.execute("CREATE TABLE notes (texts VARCHAR[])")
    connection.execute("CHECKPOINT; PRAGMA disable_checkpoint_on_shutdown")
    connection.execute("INSERT INTO notes VALUES ([?])", [body.decode("latin-1")])
    connection.close()
    assert Path(f"{path}.wal").stat().st_size > 0


def sqlite(path: Path, body: bytes) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE event_logs (id INTEGER, event TEXT)")
        connection.execute("INSERT INTO event_logs VALUES (1, ?)", [body.decode("latin-1")])
    connection.close()


FORMATS: dict[str, Callable[[Path, bytes], object]] = {
    "plain": lambda path, body: path.write_bytes(b"before " + body + b" after"),
    "gzip": lambda path, body: path.write_bytes(gzip.compress(PADDING + body)),
    "parquet": parquet,
    "a Parquet file in a body": nested,
    "nested Parquet": structs,
    "duckdb": database,
    "duckdb's log": log,
    "sqlite": sqlite,
}
DISGUISES: dict[str, Callable[[str], bytes]] = {
    "raw": str.encode,
    "a beginning": lambda key: key[:12].encode(),
    "an end": lambda key: b"..." + key[-12:].encode(),
    "json": lambda key: json.dumps({"key": key}).encode(),
    "html": lambda key: html.escape(key).encode(),
    "percent": lambda key: f"https://x.invalid/?key={quote(key, safe='')}".encode(),
    "base64": lambda key: base64.b64encode(key.encode()),
    "Authorization: Basic": lambda key: b"Basic " + base64.b64encode(f"me:{key}".encode()),
    "Basic of a longer name": lambda key: b"Basic " + base64.b64encode(f"someone:{key}\n".encode()),
    "urlsafe": lambda key: base64.urlsafe_b64encode(b"ab" + key.encode() + b"cd"),
    "hex": lambda key: key.encode().hex().encode(),
    "UTF-16": lambda key: key.encode("utf-16-le"),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("kind", FORMATS)
def test_a_key_is_found_in_each_format_and_disguise(kind: str, disguise: str, tmp_path: Path) -> None:
    FORMATS[kind](tmp_path / "file", DISGUISES[disguise](CANARY))
    assert leaks([CANARY], tmp_path)
    assert leaks([OTHERWISE], tmp_path) == []


def test_a_key_is_found_in_a_file_name_and_in_output(tmp_path: Path) -> None:
    assert leaks(["canary-4d8c1Kp7"], tmp_path, said={"run": "fine", "doctor": "no canary-4d8c1Kp7 here"}) == ["doctor"]
    (tmp_path / "limits").mkdir()
    (tmp_path / "limits" / "vpsbg-canary-4d8c1Kp7.sqlite").touch()
    assert leaks(["canary-4d8c1Kp7"], tmp_path) == ["a name"]
