"""Builds of a lake other than the one that this machine's readers have: the newest in the storage, and those before."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.lake.build_pointers import current_pointer, pointer_as_of
from pipeline.lake.lake_of_build import storage_of
from pipeline.lake.lake_reading import write_view_file
from pipeline.lake.open_store import open_store
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.home import BUILD_FILE, Home

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.schema.tables import Table


@contextlib.contextmanager
def build_in(storage: str, moment: datetime | None, tables: Sequence[Table]) -> Iterator[Path]:
    """Path of a DuckDB file with a build's tables, for the block: the newest that was committed by a moment.

    `storage` is a URL, `tables` are the published tables, and None stands for the newest build. Raises UsageError for a
    URL that cannot be used, and DrawdownError if the storage fails or has no such build.
    """
    store = open_store(storage)
    pointer = current_pointer(store) if moment is None else pointer_as_of(store, moment)
    if pointer is None:
        raise DrawdownError(f'{store.url} has no build yet; `drawdown run` with engine = "spark" makes the first one')
    with tempfile.TemporaryDirectory(prefix="drawdown-build-") as folder:
        path = Path(folder) / pointer.build_id / BUILD_FILE
        write_view_file(pointer, store, tables, path)
        yield path


@contextlib.contextmanager
def build_as_of(home: Home, moment: datetime, tables: Sequence[Table]) -> Iterator[Path]:
    """As `build_in`, in the storage of the state folder's published build.

    Raises UsageError for a build that is in no lake, too.
    """
    storage = storage_of(home.current.resolve())
    if storage is None:
        raise UsageError(
            '--as-of: only builds in a lake are kept (engine = "spark"); `drawdown rebuild --as-of INSTANT --to FILE` '
            "makes the tables of then from landing"
        )
    with build_in(storage, moment, tables) as path:
        yield path
