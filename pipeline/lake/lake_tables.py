"""The lake: commits of builds.

A commit replaces parts of tables, one Iceberg transaction for each table, then describes the build
(`pipeline.lake.build_pointers`) and switches readers to it. A process that dies in between leaves them with the
complete previous build, and the next commit first sets every table back to it. One process commits at a time; any
number compute and store parts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Final

from pipeline.lake.build_pointers import (
    BuildPointer,
    TableVersion,
    current_pointer,
    make_current,
    write_pointer,
)
from pipeline.lake.iceberg_catalog import CommitLock, LakeCatalog
from pipeline.lake.iceberg_tables import PartFiles, commit_table, ensure_table
from pipeline.lake.lake_keys import begun_key
from pipeline.lake.lake_parts import Part, check_parts, read_footers, stored_parts
from pipeline.lake.lake_retention import KEPT_BUILDS, Removed, remove_unneeded
from pipeline.lake.open_store import open_store
from pipeline.schema.tables import Table, published
from pipeline.support.errors import DrawdownError
from pipeline.support.secret import read_secret

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

LOCK_SECONDS: Final = 600.0
"""How long a commit waits for another one."""
ABANDONED_AFTER: Final = timedelta(days=2)
"""Age at which a build that was begun and never committed counts as abandoned, so that its files may be deleted."""
_ATTEMPTS: Final = 5
"""Of a table's transaction, if other programs change the table at the same time."""


class Lake:
    """Builds in a storage, as Iceberg tables.

    `storage` is a URL as for `open_store`. The catalog is a SQLite file in `folder`, or the PostgreSQL database
    whose URI the environment variable `catalog_variable` has. `tables` are the published tables.

    Raises UsageError for a URL or a variable that cannot be used. All methods raise DrawdownError if the storage or the
    catalog fails, and if the extra `drawdown[spark]` is not installed.
    """

    def __init__(
        self,
        storage: str,
        folder: Path,
        *,
        catalog_variable: str | None = None,
        tables: Sequence[Table] | None = None,
    ) -> None:
        self.store = open_store(storage)
        uri = read_secret(catalog_variable, "the lake's catalog") if catalog_variable else None
        self._catalog = LakeCatalog(self.store.url, folder, uri)
        self._tables = {table.full_name: table for table in (published() if tables is None else tables)}

    def current(self) -> BuildPointer | None:
        """The newest build; None if there is none."""
        return current_pointer(self.store)

    def begin(self, build_id: str) -> None:
        """Note that parts of a build will be stored: retention leaves them alone until it is committed or abandoned.

        Call it before the first `write_part`. A build id is one of `FetchIds().draw()`.
        """
        self.store.put_bytes(begun_key(build_id), b"")

    def abandon(self, build_id: str) -> None:
        """Note that a build will not be committed; its files are deleted with the next unneeded ones."""
        self.store.delete(begun_key(build_id))

    def commit(
        self,
        build_id: str,
        parts: Sequence[Part],
        *,
        follows: str | EllipsisType | None = ...,
        wait_seconds: float = LOCK_SECONDS,
        now: datetime | None = None,
    ) -> BuildPointer:
        """Replace exactly these parts, make the result the newest build, and return it.

        `follows` is the id of the build that the parts were computed from, None for none; without it, any will do. A
        part without rows only deletes. Of a table whose columns have changed since the last build, all parts must be
        given. Committing a build again that is the newest one changes nothing.

        Raises ValueError for parts that contradict each other or the tables, OSError for a local file, and
        DrawdownError for a file that does not have what its part says, for a table whose columns have changed, and if
        another process commits for longer than the wait.
        """
        check_parts(parts, self._tables)
        self.begin(build_id)
        parts = stored_parts(parts, self._tables, build_id, self.store)
        found = read_footers(parts, self._tables, self.store)
        with self._catalog.committing(wait_seconds) as (catalog, lock):
            base = current_pointer(self.store)
            if base and base.build_id == build_id:
                self.abandon(build_id)
                return base
            if follows is not ... and follows != (base.build_id if base else None):
                raise DrawdownError(
                    f"another run has published build {base.build_id if base else 'none'}, and this one was "
                    f"computed from {follows or 'none'}; run again"
                )
            versions = {}
            for table in self._tables.values():
                own = {key[1:]: files for key, files in found.items() if key[0] == table.full_name}
                before = base.tables.get(table.full_name) if base else None
                versions[table.full_name] = self._commit_table(catalog, table, before, own, build_id)
            pointer = BuildPointer(
                build_id=build_id,
                committed_at=now or datetime.now(UTC),
                previous=base.build_id if base else None,
                tables=versions,
            )
            self._switch(pointer, lock)
        return pointer

    def _commit_table(
        self, catalog: SqlCatalog, table: Table, before: TableVersion | None, own: PartFiles, build_id: str
    ) -> TableVersion:
        from pyiceberg.exceptions import CommitFailedException, ValidationException

        for attempt in range(1, _ATTEMPTS + 1):
            try:
                stored = ensure_table(catalog, self.store, table, before, own)
                return commit_table(stored, self.store, table, before, own, build_id)
            except (CommitFailedException, ValidationException):
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(0.1 * 2**attempt)
        raise AssertionError("unreachable")

    def _switch(self, pointer: BuildPointer, lock: CommitLock) -> None:
        write_pointer(self.store, pointer)
        lock.check()
        make_current(self.store, pointer)
        self.abandon(pointer.build_id)

    def remove_unneeded(
        self,
        *,
        kept_builds: int = KEPT_BUILDS,
        abandoned_after: timedelta = ABANDONED_AFTER,
        wait_seconds: float = LOCK_SECONDS,
    ) -> Removed:
        """Delete what neither the newest builds nor a build that is being made needs, and expire Iceberg's snapshots.

        Raises ValueError for less than one build.
        """
        if kept_builds < 1:
            raise ValueError("at least one build must be kept")
        with self._catalog.committing(wait_seconds) as (catalog, _):
            return remove_unneeded(catalog, self.store, self._tables, kept_builds, abandoned_after)
