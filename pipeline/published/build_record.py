"""`build.json` beside each build: how it was made, and what differs from the build that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from pipeline import __version__
from pipeline.schema.render import comments, create_table
from pipeline.schema.tables import Table
from pipeline.support.home import atomic_file

RECORD_FILE: Final = "build.json"

BUILD_FORMAT: Final = "STORAGE_VERSION 'v1.0.0', BLOCK_SIZE 262144"
"""Options of a new file: the oldest storage version that all current clients can read, and the only block size that old
ones can. BI tools lag behind the newest DuckDB."""


class BuildRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How a build was made."""

    layout: str
    """Hash of the tables, of the file's format and of the versions that wrote it."""
    whole_bytes: int
    """Size of the file when it was last written whole."""
    base: str | None = None
    """Build of which it is an updated copy; None: it was written whole."""
    rewritten: dict[str, list[str]] = {}
    """What differs from the base: by the table's full name the months (`2026-11`), or `all` for a whole table."""


ALL_ROWS: Final = ["all"]
"""A table that was rewritten whole, in `BuildRecord.rewritten`."""


def read_record(build: Path) -> BuildRecord | None:
    """The record of a build's file; None if it has none that can be read."""
    try:
        return msgspec.json.decode((build.parent / RECORD_FILE).read_bytes(), type=BuildRecord)
    except (OSError, msgspec.MsgspecError):
        return None


def write_record(build: Path, record: BuildRecord) -> None:
    """Write the record beside a build's file. Raises OSError."""
    with atomic_file(build.parent / RECORD_FILE) as temporary:
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(record)))


def layout_hash(tables: Sequence[Table]) -> str:
    """Hash of everything that two builds must have in common for one to be made from the other."""
    statements = [text for table in tables for text in (create_table(table), *comments(table))]
    parts = [__version__, duckdb.__version__, BUILD_FORMAT, *statements]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]
