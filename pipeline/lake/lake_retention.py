"""What is deleted from the lake: what neither the newest builds nor a build that is being made needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from pipeline.lake.build_pointers import BuildPointer, pointers
from pipeline.lake.lake_keys import (
    BUILDS,
    TABLES,
    begun_key,
    build_of_mark,
    build_of_part,
    build_of_pointer,
    table_folder,
)
from pipeline.lake.object_store import ObjectStore, StoredFile
from pipeline.schema.tables import Table

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.io import FileIO
    from pyiceberg.table.snapshots import Snapshot

KEPT_BUILDS: Final = 3
"""Builds that are kept, like those of the published DuckDB files."""


@dataclass(frozen=True, slots=True)
class Removed:
    """What was deleted."""

    builds: int
    snapshots: int
    files: int
    size_bytes: int
    """Of these files."""


def remove_unneeded(
    catalog: SqlCatalog, store: ObjectStore, tables: dict[str, Table], kept_builds: int, abandoned_after: timedelta
) -> Removed:
    """Delete older builds; the caller holds the lock of commits. Raises DrawdownError.

    If it dies, the next one deletes the rest: a build's description goes first, so that nobody opens it any more, and
    files only after the snapshots that name them.
    """
    # In this order: a file was stored after its build was begun, and its description written before the mark went.
    files = list(store.list(TABLES))
    marks = list(store.list(BUILDS))
    kept = list(islice(pointers(store), kept_builds))
    begun = _begun(store, marks, abandoned_after)
    needed = {file.key for pointer in kept for version in pointer.tables.values() for file in version.files}
    needed |= {store.key_of(each.metadata_location) for pointer in kept for each in pointer.tables.values()}

    ids = {pointer.build_id for pointer in kept}
    older = [each.key for each in marks if build_of_pointer(each.key) not in (None, *ids, *begun)]
    for key in older:
        store.delete(key)
    expired = 0
    for table in tables.values():
        snapshots, locations = _expire(catalog, table, kept)
        expired += snapshots
        needed |= set(map(store.key_of, locations))
    own = tuple(f"{table_folder(table)}/" for table in tables.values())
    # Files of other tables are left alone.
    gone = [
        file
        for file in files
        if file.key not in needed and build_of_part(file.key) not in begun and file.key.startswith(own)
    ]
    for file in gone:
        store.delete(file.key)
    return Removed(len(older), expired, len(gone), sum(file.size_bytes for file in gone))


def _begun(store: ObjectStore, marks: list[StoredFile], abandoned_after: timedelta) -> set[str]:
    """Builds that are being made; marks of abandoned ones are deleted."""
    found = set()
    for mark in marks:
        build_id = build_of_mark(mark.key)
        if build_id is None:
            continue
        if datetime.now(UTC) - mark.modified_at < abandoned_after:
            found.add(build_id)
        else:
            store.delete(begun_key(build_id))
    return found


def _expire(catalog: SqlCatalog, table: Table, kept: list[BuildPointer]) -> tuple[int, set[str]]:
    """Expire the snapshots of one table that no build names.

    Returns their number, and the URLs of the metadata of all others.
    """
    from pyiceberg.exceptions import NoSuchTableError
    from pyiceberg.serializers import FromInputFile

    try:
        stored = catalog.load_table((table.layer, table.name))
    except NoSuchTableError:
        return 0, set()
    versions = [pointer.tables[table.full_name] for pointer in kept if table.full_name in pointer.tables]
    named = {version.snapshot_id for version in versions} | {stored.metadata.current_snapshot_id}
    old = [each.snapshot_id for each in stored.metadata.snapshots if each.snapshot_id not in named]
    if old:
        stored.maintenance.expire_snapshots().by_ids(old).commit()
        stored = catalog.load_table((table.layer, table.name))
    needed = {stored.metadata_location, *_files_of(stored.metadata.snapshots, stored.io)}
    for version in versions:
        if version.snapshot_id and stored.metadata.snapshot_by_id(version.snapshot_id) is None:
            # The table was created anew since, with other columns.
            metadata = FromInputFile.table_metadata(stored.io.new_input(version.metadata_location))
            snapshots = [each for each in metadata.snapshots if each.snapshot_id == version.snapshot_id]
            needed.update(_files_of(snapshots, stored.io))
    return len(old), needed


def _files_of(snapshots: Iterable[Snapshot], io: FileIO) -> Iterator[str]:
    """URLs of the manifest lists and manifests of snapshots."""
    for snapshot in snapshots:
        yield snapshot.manifest_list
        yield from (manifest.manifest_path for manifest in snapshot.manifests(io))
