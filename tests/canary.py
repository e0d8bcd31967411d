"""The canary sweep: finds a secret anywhere, plain or encoded, also within file formats that hide it.

Its encodings are written here, independently of the code that keeps secrets out.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import io
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

_PART_CHARACTERS = 12
"""A beginning or an end of this length is a leak, too."""

_NO_TEXT = r"DECIMAL\(.*\)|DOUBLE|FLOAT|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|BOOLEAN|DATE|TIMESTAMP.*"
"""DuckDB types that only contain numbers and instants."""

Content = tuple[str, bytes]
"""A place, and its contents."""


def forms(secret: str) -> set[bytes]:
    """A secret, its beginning and its end, and each as it may appear in JSON, HTML, a URL, Base64 or hex."""
    found: set[bytes] = set()
    # A URL begins and ends with words that occur everywhere.
    parts = set() if "://" in secret else {secret[:_PART_CHARACTERS], secret[-_PART_CHARACTERS:]}
    for part in {secret, *parts}:
        texts = {part, json.dumps(part)[1:-1], html.escape(part), quote(part), quote(part, safe=""), quote_plus(part)}
        found |= {text.encode() for text in texts}
        found |= {part.encode("utf-16-le"), part.encode().hex().encode(), part.encode().hex().upper().encode()}
    found |= {base64.b64encode(secret.encode()), base64.urlsafe_b64encode(secret.encode())}
    for offset in range(3):
        # As in `Basic base64(user:secret)`: without the characters that also encode neighbours.
        inside = base64.b64encode(b"\0" * offset + secret.encode())[2 * offset :].rstrip(b"=")[:-1]
        found |= {inside, inside.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def leaks(secrets: Iterable[str], *places: Path, said: Mapping[str, str] | None = None) -> list[str]:
    """Places with a secret: files, file names, or output; there must be none."""
    wanted = _wanted(secrets)
    clean = _clean.setdefault(wanted, set())
    found = _found([(name, _text(text)) for name, text in (said or {}).items()], wanted)
    for place in places:
        for path in sorted(place.rglob("*")):
            found |= _found([_name(path, place)], wanted)
            if path.is_file() and not path.is_symlink() and (digest := _file_digest(path)) not in clean:
                here = _found(_file_contents(path), wanted)
                found |= here
                if not here:
                    clean.add(digest)
    return sorted(found)


def found_in(contents: Iterable[Content], secrets: Iterable[str]) -> list[str]:
    """Places whose contents include a secret."""
    return sorted(_found(contents, _wanted(secrets)))


_clean: dict[frozenset[bytes], set[bytes]] = {}
"""Digests of contents without any of these forms, and of files whose contents have none at any depth.

Copies of a state folder and the exports of a build have the same contents again and again.
"""


def _wanted(secrets: Iterable[str]) -> frozenset[bytes]:
    every = {form for secret in secrets for form in forms(secret)}
    # A form that contains another one is redundant.
    return frozenset(form for form in every if not any(other in form for other in every if other != form))


def _found(contents: Iterable[Content], wanted: frozenset[bytes]) -> set[str]:
    clean = _clean.setdefault(wanted, set())
    found = set()
    for place, content in contents:
        digest = hashlib.blake2b(content).digest()
        if digest in clean:
            continue
        if any(form in content for form in wanted):
            found.add(place)
        else:
            clean.add(digest)
    return found


def _file_digest(path: Path) -> bytes:
    digest = hashlib.blake2b(path.read_bytes(), person=b"whole file")
    # What DuckDB has not yet written into a file belongs to it.
    if (log := Path(f"{path}.wal")).exists():
        digest.update(log.read_bytes())
    return digest.digest()


def contents_of(folder: Path) -> Iterator[Content]:
    """Every file below a folder as it is, and also decoded by its format."""
    for path in sorted(folder.rglob("*")):
        yield _name(path, folder)
        if path.is_file() and not path.is_symlink():
            yield from _file_contents(path)


def _name(path: Path, folder: Path) -> Content:
    return "a name", str(path.relative_to(folder)).encode()


def _file_contents(path: Path) -> Iterator[Content]:
    content = path.read_bytes()
    yield str(path), content
    yield from _inside(str(path), content)


def _inside(place: str, content: bytes) -> Iterator[Content]:
    """Contents of a file or a body that its bytes do not show; a body may itself be a file."""
    if content[:4] == b"PAR1" and content[-4:] == b"PAR1":
        for name, cells in _parquet_cells(content):
            yield f"{place}: {name}", b"\0".join(cells)
            for cell in cells:
                yield from _inside(f"{place}: {name}", cell)
    elif content[:2] == b"\x1f\x8b":
        yield f"{place}: unzipped", gzip.decompress(content)
    elif content[8:12] == b"DUCK":
        yield from _duckdb_cells(place)
    elif content[:16] == b"SQLite format 3\0":
        yield from _sqlite_cells(place)


def _parquet_cells(content: bytes) -> Iterator[tuple[str, list[bytes]]]:
    with pq.ParquetFile(io.BytesIO(content)) as file:
        schema = file.schema_arrow
        yield "metadata", [repr(schema.metadata).encode()]
        for field in schema:
            # Numbers and instants contain no text.
            if pa.types.is_nested(field.type) or not (
                pa.types.is_primitive(field.type) or pa.types.is_decimal(field.type)
            ):
                column = file.read(columns=[field.name]).column(0)
                cells = {_text(value) for value in column.to_pylist() if value is not None}
                yield field.name, sorted(cells)


def _duckdb_cells(place: str) -> Iterator[Content]:
    # A copy, because a process may have the file open, and its log must be read as well.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.duckdb"
        shutil.copy(place, copy)
        log = Path(f"{place}.wal")
        if log.exists():
            shutil.copy(log, f"{copy}.wal")
        with duckdb.connect(copy) as connection:
            definitions = "SELECT sql, comment FROM duckdb_{}() WHERE NOT internal"
            for kind in ("tables", "views"):
                rows = connection.execute(definitions.format(kind)).fetchall()
                yield f"{place}: {kind}", b"\0".join(_text(cell) for row in rows for cell in row)
            columns = (
                "SELECT schema_name, table_name, list(column_name) FROM duckdb_columns() "
                "WHERE NOT internal AND NOT regexp_full_match(data_type, ?) "
                # A view has nothing of its own, and may read an object storage.
                "AND (schema_name, table_name) IN (SELECT (schema_name, table_name) FROM duckdb_tables()) GROUP BY ALL"
            )
            for schema, table, names in connection.execute(columns, [_NO_TEXT]).fetchall():
                values = ", ".join(f'list(DISTINCT "{name}")' for name in names)
                [lists] = connection.execute(f'SELECT {values} FROM "{schema}"."{table}"').fetchall()
                for name, cells in zip(names, lists, strict=True):
                    yield f"{place}: {schema}.{table}.{name}", b"\0".join(sorted(map(_text, cells or ())))


def _sqlite_cells(place: str) -> Iterator[Content]:
    with sqlite3.connect(f"file:{place}?mode=ro", uri=True) as connection:
        connection.text_factory = bytes
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            rows = connection.execute(f'SELECT * FROM "{name.decode()}"').fetchall()
            yield f"{place}: {name.decode()}", b"\0".join(_text(cell) for row in rows for cell in row)
    connection.close()


def postgres_contents(connection: Any) -> Iterator[Content]:
    """Every row of every table that is not PostgreSQL's own; `connection` is psycopg2's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"SELECT t::text FROM {name} AS t")
            yield f"PostgreSQL: {name}", b"\0".join(_text(text) for (text,) in cursor.fetchall())
        cursor.execute("SELECT description FROM pg_description WHERE objoid > 16383")
        yield "PostgreSQL: comments", b"\0".join(_text(text) for (text,) in cursor.fetchall())


def _text(value: object) -> bytes:
    """A value as text, with its strings unescaped: no escape hides anything."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, dict):
        return b"\0".join(_text(each) for pair in value.items() for each in pair)
    if isinstance(value, (list, tuple)):
        return b"\0".join(map(_text, value))
    return str(value).encode("utf-8", "surrogatepass")
