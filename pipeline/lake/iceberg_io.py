"""Iceberg's own files in the lake's storage, written like all others: complete or absent, for the owner only.

PyIceberg finds the class by its name (`py-io-impl`) and asks it for files by their URL. It only needs these methods,
so nothing here needs PyIceberg to be installed.
"""

from __future__ import annotations

import io
from types import TracebackType
from typing import IO, Final

from pipeline.lake.object_store import NotStored, ObjectStore
from pipeline.lake.open_store import open_store

STORAGE: Final = "drawdown.storage"
"""Property with the storage's URL."""


class LakeFiles:
    """PyIceberg's FileIO over a storage."""

    def __init__(self, properties: dict[str, str]) -> None:
        self.properties = properties
        self.store = open_store(properties[STORAGE])

    def new_input(self, location: str) -> StoredInput:
        """A file to read."""
        return StoredInput(self.store, location)

    def new_output(self, location: str) -> StoredOutput:
        """A file to write."""
        return StoredOutput(self.store, location)

    def delete(self, location: str | _StoredFile) -> None:
        """Delete a file, if it exists."""
        self.store.delete(self.store.key_of(location if isinstance(location, str) else location.location))


class _StoredFile:
    """What PyIceberg asks of any file."""

    def __init__(self, store: ObjectStore, location: str) -> None:
        self.location = location
        self._store, self._key = store, store.key_of(location)

    def __len__(self) -> int:
        return self._store.size(self._key)

    def exists(self) -> bool:
        """Whether it exists."""
        return self._store.exists(self._key)


class StoredInput(_StoredFile):
    """PyIceberg's InputFile."""

    def open(self, seekable: bool = True) -> IO[bytes]:  # noqa: ARG002 - PyIceberg's signature
        """Open the file: Iceberg's own are small, and are read whole. Raises FileNotFoundError."""
        try:
            return io.BytesIO(self._store.read(self._key))
        except NotStored as problem:
            raise FileNotFoundError(str(problem)) from None


class StoredOutput(_StoredFile):
    """PyIceberg's OutputFile."""

    def to_input_file(self) -> StoredInput:
        """The same file, to read."""
        return StoredInput(self._store, self.location)

    def create(self, overwrite: bool = False) -> _Written:  # noqa: ARG002 - PyIceberg's signature
        """A stream whose bytes are stored when it is closed without an error. Names are new each time."""
        return _Written(self._store, self._key)


class _Written(io.BytesIO):
    def __init__(self, store: ObjectStore, key: str) -> None:
        super().__init__()
        self._store, self._key = store, key

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        if kind is not None:
            super().close()
            return
        self.close()

    def close(self) -> None:
        """Store what was written."""
        if not self.closed:
            content = self.getvalue()
            super().close()
            self._store.put_bytes(self._key, content)
