"""The state folder: its paths, and crash-safe writing."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Home:
    """`$DRAWDOWN_HOME`. Folders are 0700 and files 0600, because balances are private."""

    path: Path

    @classmethod
    def from_environment(cls) -> Home:
        """The folder that `DRAWDOWN_HOME` names, or else `./data`."""
        return cls(Path(os.environ.get("DRAWDOWN_HOME") or "data").absolute())

    @property
    def landing(self) -> Path:
        """Immutable Parquet files of answers: the only source of truth."""
        return self.path / "landing"

    @property
    def warehouse(self) -> Path:
        """The writer's DuckDB file."""
        return self.path / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """Folder of the published builds and exports."""
        return self.path / "published"

    @property
    def current(self) -> Path:
        """The symlink to the newest published DuckDB file."""
        return self.published / "current.duckdb"

    @property
    def parquet(self) -> Path:
        """The symlink to the newest folder of published Parquet files."""
        return self.published / "parquet"

    @property
    def focus(self) -> Path:
        """The symlink to the newest folder of FOCUS exports."""
        return self.published / "focus"

    @property
    def limits(self) -> Path:
        """Rate-limit files that processes share."""
        return self.path / "limits"

    @property
    def identity_key(self) -> Path:
        """32 random bytes that run records hash accounts' addresses and secrets with."""
        return self.path / "identity.key"

    @property
    def sandbox_accounts(self) -> Path:
        """The demo's accounts.toml; if it exists, the folder only has a sandbox's data."""
        return self.path / "sandbox-accounts.toml"

    @property
    def dagster(self) -> Path:
        """Dagster's storage, unless DAGSTER_HOME is set."""
        return self.path / "dagster"


BUILD_FILE: Final = "drawdown.duckdb"
"""File name of a build. DuckDB names the catalog after it, and BI tools store that name: it never changes."""


def build_id(build: Path) -> str:
    """Build id of a published file, or of the link to it: its folder's name, or else the file's own."""
    file = build.resolve()
    return file.parent.name if file.name == BUILD_FILE else file.stem


def private_folder(path: Path) -> Path:
    """Create a folder, and its missing parents, for the owner only. Raises OSError if something else is in the way."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=0o700)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    return path


def sync_folder(path: Path) -> None:
    """Make a rename inside a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; synced and renamed to it on success, removed on failure."""
    private_folder(path.parent)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o600)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
