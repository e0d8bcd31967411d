"""Storage in a folder: 0700, files 0600, written beside their place, synced and renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from pipeline.lake.object_store import NotStored, ObjectStore, StoredFile, checked_key
from pipeline.support.errors import DrawdownError
from pipeline.support.home import atomic_file, private_folder, sync_folder

_UNFINISHED: Final = ".tmp"
"""End of the names of files that are being written, or were when their writer died; they begin with a dot."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FileStore(ObjectStore):
    """Files below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"file://{folder}"

    def put(self, local: Path, key: str) -> int:
        """Copy a local file into the storage."""
        with local.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            with (
                self._words("cannot write", key),
                atomic_file(self._path(key)) as temporary,
                temporary.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, 2**20)
        return size

    def put_bytes(self, key: str, content: bytes, *, if_absent: bool = False) -> bool:
        """Store bytes."""
        path = self._path(key)
        with self._words("cannot write", key):
            if not if_absent:
                with atomic_file(path) as temporary:
                    temporary.write_bytes(content)
                return True
            private_folder(path.parent)
            handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=_UNFINISHED, dir=path.parent)
            try:
                with open(handle, "wb") as temporary:
                    temporary.write(content)
                    temporary.flush()
                    os.fsync(handle)
                # A link fails where a rename would replace.
                os.link(name, path)
                sync_folder(path.parent)
            except FileExistsError:
                return False
            finally:
                Path(name).unlink(missing_ok=True)
        return True

    def get(self, key: str, local: Path) -> None:
        """Copy a file to a local path."""
        with self.open_input(key) as source, atomic_file(local) as temporary, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)

    def read(self, key: str) -> bytes:
        """The bytes of a file."""
        with self._words("cannot read", key):
            return self._path(key).read_bytes()

    def open_input(self, key: str) -> IO[bytes]:
        """Open a file for reading."""
        with self._words("cannot read", key):
            return self._path(key).open("rb")

    def size(self, key: str) -> int:
        """Size in bytes."""
        with self._words("cannot read", key):
            path = self._path(key)
            if path.is_dir():
                raise FileNotFoundError(key)
            return path.stat().st_size

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """Files below a folder."""
        top = self._path(prefix) if prefix else self._folder
        with self._words("cannot list", prefix):
            found = [Path(folder) / name for folder, _, names in os.walk(top, onerror=_unless_absent) for name in names]
        for path in sorted(found, key=lambda each: each.relative_to(self._folder).as_posix()):
            if path.name.startswith(".") and path.name.endswith(_UNFINISHED):
                continue
            # It may be deleted meanwhile.
            with contextlib.suppress(FileNotFoundError):
                facts = path.stat()
                modified = datetime.fromtimestamp(facts.st_mtime, UTC)
                yield StoredFile(path.relative_to(self._folder).as_posix(), facts.st_size, modified)

    def delete(self, key: str) -> None:
        """Delete a file, if there is one."""
        path = self._path(key)
        with self._words("cannot delete", key):
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / checked_key(key)

    @contextlib.contextmanager
    def _words(self, what: str, key: str) -> Iterator[None]:
        """Raise errors of the file system as DrawdownError."""
        where = self._folder / key
        try:
            yield
        except (FileNotFoundError, IsADirectoryError):
            raise NotStored(f"{where} does not exist") from None
        except PermissionError as problem:
            raise DrawdownError(
                f"{what} {where}: {problem.strerror}; the folder must belong to the user that runs Drawdown"
            ) from None
        except OSError as problem:
            remedy = "make room" if problem.errno in _FULL else "check the disk"
            raise DrawdownError(f"{what} {where}: {problem.strerror}; {remedy} and run again") from None


def _unless_absent(problem: OSError) -> None:
    """Pass on an error of listing a folder: one that does not exist has no files."""
    if not isinstance(problem, FileNotFoundError):
        raise problem
