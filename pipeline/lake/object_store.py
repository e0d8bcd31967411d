"""Files under keys, in a folder (`file:///path`) or in an S3 bucket (`s3://bucket/prefix`).

A key is a relative path such as `builds/18f0.json`. A file is complete or absent, whenever the writer dies. Keys of S3
come from the usual environment variables only (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
`AWS_REGION`, `AWS_ENDPOINT_URL`); they are never stored, and no error shows them.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from pipeline.support.errors import DrawdownError

# DuckDB reads * ? [ ] as patterns, and URLs give % # ? and \ a meaning of their own.
NO_PATH: Final = re.compile(r"[*?\[\]{}%#\\\x00-\x1f\x7f]")
_NO_KEY: Final = re.compile(r"(^|/)\.{0,2}(/|$)|" + NO_PATH.pattern)


class NotStored(DrawdownError):
    """There is no file under a key."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A stored file, as listed."""

    key: str
    size_bytes: int
    modified_at: datetime
    """When it was written, in UTC, by the storage's clock."""


class ObjectStore(ABC):
    """Files under keys. `open_store(url)` makes one.

    Every method raises DrawdownError, with one line that says what, where and the remedy, if the storage fails, and
    ValueError for something that is no key.
    """

    url: str
    """Where the files are, without a slash at the end."""

    def location(self, key: str) -> str:
        """The URL of a file."""
        return f"{self.url}/{checked_key(key)}"

    def key_of(self, location: str) -> str:
        """The key of a file's URL. Raises ValueError for a URL that is not in this storage."""
        if not location.startswith(self.url + "/"):
            raise ValueError(f"{location} is not below {self.url}")
        return checked_key(location[len(self.url) + 1 :])

    @abstractmethod
    def put(self, local: Path, key: str) -> int:
        """Store a copy of a local file, replacing any other; returns its size in bytes. Raises OSError for `local`."""

    @abstractmethod
    def put_bytes(self, key: str, content: bytes, *, if_absent: bool = False) -> bool:
        """Store bytes, replacing any other file; returns False if there was one and `if_absent` is given.

        Of several writers at once with `if_absent`, one gets True.
        """

    @abstractmethod
    def get(self, key: str, local: Path) -> None:
        """Copy a file to a local path, complete or not at all. Raises NotStored."""

    @abstractmethod
    def read(self, key: str) -> bytes:
        """The bytes of a file. Raises NotStored."""

    @abstractmethod
    def open_input(self, key: str) -> IO[bytes]:
        """Open a file for reading from any position. Raises NotStored."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Size of a file in bytes. Raises NotStored."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """Files below a folder, `prefix` (all, if it is empty), in the order of their keys."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete a file, if there is one."""

    def exists(self, key: str) -> bool:
        """Whether there is a file under a key."""
        try:
            self.size(key)
        except NotStored:
            return False
        return True


def checked_key(key: str) -> str:
    """The key. Raises ValueError if it is none: an absolute path, one with `..`, an empty part or a pattern."""
    if _NO_KEY.search(key):
        raise ValueError(f"{key!r} is no key of a file")
    return key
