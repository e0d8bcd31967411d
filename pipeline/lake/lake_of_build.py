"""The storage of a DuckDB file of views: `lake.json` beside it names it.

Every opening of a build asks for it, and most builds hold their rows themselves, so everything else is imported only
where there is such a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pipeline.support.errors import DrawdownError, first_line

if TYPE_CHECKING:
    import duckdb

    from pipeline.lake.build_pointers import LakeOf
    from pipeline.lake.read_only_files import ReadOnlyFiles

LAKE_FILE: Final = "lake.json"
"""File beside a DuckDB file of views that names their storage."""


def lake_of(build: Path) -> ReadOnlyFiles | None:
    """The files that a DuckDB file's views read; None for a file that holds its rows itself.

    Raises UsageError for S3 without keys in the environment, and DrawdownError if the storage fails, does not have the
    build any more, or the file beside it is damaged.
    """
    found = _lake_file(build)
    if found is None:
        return None
    from pipeline.lake.build_pointers import read_pointer
    from pipeline.lake.object_store import NotStored
    from pipeline.lake.open_store import open_store
    from pipeline.lake.read_only_files import ReadOnlyFiles

    store = open_store(found.storage)
    try:
        return ReadOnlyFiles(store, read_pointer(store, found.build_id).files)
    except NotStored:
        raise DrawdownError(
            f"{store.url} does not have build {found.build_id} any more, which {build} reads; open the current build"
        ) from None


def is_in_lake(build: Path) -> bool:
    """Whether a DuckDB file, or the one behind a link, has views of files in a storage."""
    return build.resolve().with_name(LAKE_FILE).exists()


def storage_of(build: Path) -> str | None:
    """URL of the storage whose files a DuckDB file's views read; None for a file that holds its rows itself.

    Raises DrawdownError if the file beside it is damaged.
    """
    found = _lake_file(build)
    return found.storage if found else None


def _lake_file(build: Path) -> LakeOf | None:
    path = build.with_name(LAKE_FILE)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise _unreadable(path, problem) from None
    import msgspec

    from pipeline.lake.build_pointers import LakeOf

    try:
        return msgspec.json.decode(content, type=LakeOf)
    except msgspec.MsgspecError as problem:
        raise _unreadable(path, problem) from None


def _unreadable(path: Path, problem: Exception) -> DrawdownError:
    return DrawdownError(f"{path} cannot be read: {first_line(problem)}; `drawdown run` makes a new build")


def allow_only(connection: duckdb.DuckDBPyConnection, files: ReadOnlyFiles) -> None:
    """Let a connection read these files; its caller then disables external access."""
    from pipeline.schema.render import quoted

    connection.register_filesystem(cast("Any", files))
    connection.execute(f"SET allowed_directories = [{quoted(files.url + '/')}]")
