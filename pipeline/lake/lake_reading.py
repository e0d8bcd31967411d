"""A build of the lake as a small DuckDB file, whose views read the build's Parquet files.

It looks like a published build: the same schemas, tables, columns in order, types and comments. BI tools that open it
in DuckDB read `file://` files as they are, and `s3://` ones with DuckDB's httpfs extension and a secret of their own.

Drawdown's own readers (`pipeline.warehouse.reader`) need neither: they give DuckDB the storage as a read-only file
system (`ReadOnlyFiles`), and close every other. So no key ever is in DuckDB, nothing is downloaded, and no statement
can write, which an allowed folder (`allowed_directories`) would permit. Measured on twelve million rows in 60 local
files, a grouped sum took 1.2 to 1.6 times as long as with DuckDB's own file system, and 2 to 3 times as long through
PyArrow's datasets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, cast

import duckdb
import msgspec
from fsspec import AbstractFileSystem

from pipeline.lake.build_pointers import BuildPointer, DataFile, TableVersion, read_pointer
from pipeline.lake.iceberg_schema import layout_of
from pipeline.lake.object_store import NotStored, ObjectStore
from pipeline.lake.open_store import open_store
from pipeline.schema.render import comments, quoted
from pipeline.schema.tables import Table
from pipeline.support.duckdb_session import set_session
from pipeline.support.errors import DrawdownError, first_line
from pipeline.support.home import atomic_file

LAKE_FILE: Final = "lake.json"
"""File beside a DuckDB file of views that names their storage."""


class _LakeOf(msgspec.Struct, frozen=True):
    storage: str
    build_id: str


class ReadOnlyFiles(AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """The files of a build for DuckDB, by their URL; nothing else is found, and nothing can be written."""

    cachable = False

    def __init__(self, store: ObjectStore, files: Iterable[DataFile]) -> None:
        super().__init__()
        self._store = store
        self.url = store.url
        self.protocol = store.url.partition(":")[0]
        # The sizes are known, which saves requests.
        self._sizes = {file.key: file.size_bytes for file in files}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def open(self, path: str, mode: str = "rb", **_: Any) -> IO[bytes]:
        """Open a file for reading. Raises PermissionError for writing, FileNotFoundError for any other file."""
        if set(mode) - {"r", "b"}:
            raise PermissionError("the lake is read-only")
        key = self._key(path)
        try:
            return self._store.open_input(key)
        except NotStored as problem:
            raise FileNotFoundError(str(problem)) from None

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size and kind of a file."""
        return {"name": path, "size": self._sizes[self._key(path)], "type": "file"}

    def modified(self, path: str) -> datetime:  # noqa: ARG002 - fsspec's signature
        """The same instant for every file: they never change."""
        return datetime(1970, 1, 1, tzinfo=UTC)

    def exists(self, path: str, **_: Any) -> bool:
        """Whether the build has such a file."""
        try:
            self._key(path)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: str) -> bool:
        """Whether the build has such a file."""
        return self.exists(path)

    def glob(self, path: str, **_: Any) -> list[str]:
        """The file itself: patterns match nothing."""
        return [path] if self.exists(path) else []

    def _rm(self, path: str) -> None:  # noqa: ARG002 - fsspec's signature
        raise PermissionError("the lake is read-only")

    def _key(self, path: str) -> str:
        with contextlib.suppress(ValueError):
            if (key := self._store.key_of(path)) in self._sizes:
                return key
        raise FileNotFoundError(f"{path} is no file of the build")


def write_view_file(
    pointer: BuildPointer, store: ObjectStore, tables: Sequence[Table], path: Path, *, options: str = ""
) -> None:
    """Write a DuckDB file with a view for each table of a build, and `lake.json` beside it, completely or not at all.

    `tables` are the published tables, and `options` those of ATTACH for a new file, without parentheses. Raises
    DrawdownError for a build with other tables or columns, and if the storage fails; OSError or duckdb.Error for the
    file.
    """
    for table in tables:
        version = pointer.tables.get(table.full_name)
        if version is None or version.layout != layout_of(table):
            raise DrawdownError(
                f"build {pointer.build_id} was made by another version of Drawdown, with another {table.full_name}; "
                "`drawdown run` makes a new build"
            )
    with atomic_file(path) as temporary, duckdb.connect(":memory:") as connection:
        temporary.unlink()
        set_session(connection)
        connection.register_filesystem(ReadOnlyFiles(store, pointer.files))
        connection.execute(f"ATTACH {quoted(str(temporary))} AS build {f'({options})' if options else ''}")
        try:
            connection.execute("USE build")
            for schema in dict.fromkeys(table.layer for table in tables):
                connection.execute(f"CREATE SCHEMA {schema}")
            for table in tables:
                connection.execute(_view(table, pointer.tables[table.full_name], store))
                for comment in comments(table, kind="VIEW"):
                    connection.execute(comment)
        except duckdb.IOException as problem:
            raise DrawdownError(f"build {pointer.build_id} cannot be read: {first_line(problem)}") from None
        finally:
            connection.execute("USE memory")
            connection.execute("DETACH build")
    with atomic_file(path.with_name(LAKE_FILE)) as temporary:
        temporary.write_bytes(msgspec.json.encode(_LakeOf(store.url, pointer.build_id)))


def _view(table: Table, version: TableVersion, store: ObjectStore) -> str:
    if version.files:
        columns = ", ".join(table.column_names)
        files = ", ".join(quoted(store.location(file.key)) for file in version.files)
        rows = f"SELECT {columns} FROM read_parquet([{files}], hive_partitioning = false)"
    else:
        nulls = ", ".join(f"CAST(NULL AS {column.column.type}) AS {column.name}" for column in table.columns)
        rows = f"SELECT {nulls} WHERE false"
    return f"CREATE VIEW {table.full_name} AS {rows}"


def lake_of(build: Path) -> ReadOnlyFiles | None:
    """The files that a DuckDB file's views read; None for a file that holds its rows itself.

    Raises UsageError for S3 without keys in the environment, and DrawdownError if the storage fails, does not have the
    build any more, or the file beside it is damaged.
    """
    path = build.with_name(LAKE_FILE)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_LakeOf)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as problem:
        raise DrawdownError(f"{path} cannot be read: {first_line(problem)}; `drawdown run` makes a new build") from None
    store = open_store(found.storage)
    try:
        return ReadOnlyFiles(store, read_pointer(store, found.build_id).files)
    except NotStored:
        raise DrawdownError(
            f"{store.url} does not have build {found.build_id} any more, which {build} reads; open the current build"
        ) from None


def allow_only(connection: duckdb.DuckDBPyConnection, files: ReadOnlyFiles) -> None:
    """Let a connection read these files; its caller then disables external access."""
    connection.register_filesystem(cast("Any", files))
    connection.execute(f"SET allowed_directories = [{quoted(files.url + '/')}]")
