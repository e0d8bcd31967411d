"""Where the lake's files are: the keys below its storage.

    current.json                                        which build is the newest
    builds/<build_id>.json                              what a build consists of
    builds/<build_id>.begun                             a build that is being made
    tables/<layer>/<table>/data/<build_id>-<shard>-<month>-<token>.parquet
    tables/<layer>/<table>/metadata/                    Iceberg's own files

A part's name is new each time, so that of two attempts at one task neither changes the other's file.
"""

from __future__ import annotations

import os
import re
from datetime import date
from typing import Final

from pipeline.schema.tables import Table

CURRENT: Final = "current.json"
BUILDS: Final = "builds"
TABLES: Final = "tables"
_POINTER: Final = ".json"
_BEGUN: Final = ".begun"

_BUILD_ID: Final = re.compile(r"[0-9a-f]{16}")
_PART: Final = re.compile(r"tables/[^/]+/[^/]+/data/([0-9a-f]{16})-[^/]+\.parquet")


def checked_build_id(build_id: str) -> str:
    """The build id. Raises ValueError unless it has 16 hexadecimal digits, as `FetchIds().draw()` makes them."""
    if not _BUILD_ID.fullmatch(build_id):
        raise ValueError(f"{build_id!r} is no build id: 16 hexadecimal digits")
    return build_id


def pointer_key(build_id: str) -> str:
    """Key of the description of a build."""
    return f"{BUILDS}/{checked_build_id(build_id)}{_POINTER}"


def begun_key(build_id: str) -> str:
    """Key of the mark of a build that is being made."""
    return f"{BUILDS}/{checked_build_id(build_id)}{_BEGUN}"


def build_of_mark(key: str) -> str | None:
    """Build id of the key of such a mark; None for any other key."""
    name = key.removeprefix(f"{BUILDS}/").removesuffix(_BEGUN)
    return name if key == f"{BUILDS}/{name}{_BEGUN}" and _BUILD_ID.fullmatch(name) else None


def build_of_pointer(key: str) -> str | None:
    """Build id of the key of a description; None for any other key."""
    name = key.removeprefix(f"{BUILDS}/").removesuffix(_POINTER)
    return name if key == f"{BUILDS}/{name}{_POINTER}" and _BUILD_ID.fullmatch(name) else None


def build_of_part(key: str) -> str | None:
    """Id of the build for which a Parquet file was written; None for any other key."""
    found = _PART.fullmatch(key)
    return found[1] if found else None


def table_folder(table: Table) -> str:
    """Folder of a table's files."""
    return f"{TABLES}/{table.layer}/{table.name}"


def part_key(table: Table, build_id: str, shard: int, month: date | None) -> str:
    """A new key for a part's Parquet file. Raises ValueError for something that is no build id."""
    when = f"{month:%Y-%m}" if month else "all"
    name = f"{checked_build_id(build_id)}-{shard:05d}-{when}-{os.urandom(4).hex()}.parquet"
    return f"{table_folder(table)}/data/{name}"
