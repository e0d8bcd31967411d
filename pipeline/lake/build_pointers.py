"""Pointers: what each build consists of, and which is the newest.

Iceberg commits each table by itself, so a reader of several tables follows a pointer: it names, for each table, the
Iceberg snapshot and the Parquet files of one build.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Final, TypeVar

import msgspec

from pipeline.lake.lake_keys import CURRENT, pointer_key
from pipeline.lake.object_store import NotStored, ObjectStore
from pipeline.support.errors import DrawdownError

_T = TypeVar("_T")
_TRIES: Final = 3
"""Readings of the newest pointer: it may be deleted between the two files, if many builds are made meanwhile."""


class DataFile(msgspec.Struct, frozen=True, array_like=True):
    """A Parquet file of a table."""

    key: str
    """Its key in the storage."""
    shard: int
    month: date | None
    """First day of the UTC month of its rows; None in a table that is not published by month."""
    rows: int
    size_bytes: int

    @property
    def partition(self) -> tuple[int, date | None]:
        """Shard and month."""
        return self.shard, self.month


class TableVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A table in one build."""

    layout: str
    """Hash of the columns, their types and the partitioning."""
    metadata_location: str
    """URL of Iceberg's metadata file in which the snapshot is the current one."""
    snapshot_id: int | None
    """Iceberg's snapshot; None for a table that never had rows."""
    files: tuple[DataFile, ...]
    """In the order of shard and month."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(file.rows for file in self.files)


class BuildPointer(msgspec.Struct, frozen=True, kw_only=True):
    """A build."""

    build_id: str
    committed_at: datetime
    previous: str | None
    """The build before it."""
    tables: dict[str, TableVersion]
    """By full name, in the order of the layers."""

    @property
    def files(self) -> tuple[DataFile, ...]:
        """The files of all tables."""
        return tuple(file for table in self.tables.values() for file in table.files)


class LakeOf(msgspec.Struct, frozen=True):
    """Contents of `lake.json`, beside a DuckDB file of views."""

    storage: str
    """URL."""
    build_id: str


class _Current(msgspec.Struct, frozen=True):
    build_id: str


def read_pointer(store: ObjectStore, build_id: str) -> BuildPointer:
    """The description of a build. Raises NotStored if there is none, DrawdownError if it cannot be read."""
    key = pointer_key(build_id)
    return _decoded(store, key, store.read(key), BuildPointer)


def current_pointer(store: ObjectStore) -> BuildPointer | None:
    """The newest build; None if there is none. Raises DrawdownError if the storage fails or is damaged."""
    seen = None
    for _ in range(_TRIES):
        try:
            build_id = _decoded(store, CURRENT, store.read(CURRENT), _Current).build_id
        except NotStored:
            return None
        try:
            return read_pointer(store, build_id)
        except NotStored:
            if build_id == seen:
                break
            seen = build_id
    raise DrawdownError(
        f"{store.location(CURRENT)} names build {seen}, which does not exist; restore {pointer_key(str(seen))} from a "
        "backup, or delete current.json and rebuild"
    )


def pointers(store: ObjectStore) -> Iterator[BuildPointer]:
    """Every build that readers can open, the newest first.

    A description that no later build follows and that never became current is of a commit that died.
    """
    pointer = current_pointer(store)
    while pointer:
        yield pointer
        if pointer.previous is None:
            return
        try:
            pointer = read_pointer(store, pointer.previous)
        except NotStored:
            return


def pointer_as_of(store: ObjectStore, moment: datetime) -> BuildPointer:
    """The newest build that was committed at or before an instant.

    Raises DrawdownError, naming the oldest one there is, if none was.
    """
    oldest = None
    for pointer in pointers(store):
        if pointer.committed_at <= moment:
            return pointer
        oldest = pointer
    if oldest is None:
        raise DrawdownError(f"{store.url} has no build yet; `drawdown run` makes the first one")
    raise DrawdownError(
        f"{store.url} has no build of {moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}; the oldest that is kept is "
        f"{oldest.build_id}, of {oldest.committed_at:%Y-%m-%dT%H:%M:%SZ}"
    )


def write_pointer(store: ObjectStore, pointer: BuildPointer) -> None:
    """Describe a build, without making it the newest."""
    store.put_bytes(pointer_key(pointer.build_id), msgspec.json.encode(pointer))


def make_current(store: ObjectStore, pointer: BuildPointer) -> None:
    """Switch readers to a build that is described."""
    store.put_bytes(CURRENT, msgspec.json.encode(_Current(pointer.build_id)))


def _decoded(store: ObjectStore, key: str, content: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as problem:
        raise DrawdownError(
            f"{store.location(key)} is damaged ({problem}); restore it from a backup, or delete current.json and "
            "rebuild"
        ) from None
