"""Iceberg's catalog of tables: a SQLite file in the state folder, or a PostgreSQL database; and the lock of commits."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.lake.iceberg_io import STORAGE, LakeFiles
from pipeline.support.errors import DrawdownError, UsageError, first_line
from pipeline.support.file_lock import take_lock
from pipeline.support.home import private_folder
from pipeline.support.secret import Redactor, Secret

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

NAME: Final = "drawdown"
"""Name of the catalog in its database: several lakes need several databases."""
CATALOG_FILE: Final = "iceberg.sqlite"
_LOCK_FILE: Final = "commit.lock"
_POLL_SECONDS: Final = 0.1
_MISSING: Final = "is not installed, which the lake's tables need; pip install 'drawdown[spark]' installs it"


class CommitLock:
    """A held lock: no other process commits to the lake. It is released when the process ends, however it ends."""

    def __init__(self, session: Any = None) -> None:
        self._session = session

    def check(self) -> None:
        """Raise DrawdownError if the lock was lost, because the database ended the session that holds it."""
        if self._session is not None:
            from sqlalchemy import text
            from sqlalchemy.exc import SQLAlchemyError

            try:
                self._session.execute(text("SELECT 1"))
            except SQLAlchemyError:
                raise DrawdownError(
                    "the catalog's database ended the session that holds the lock of commits; readers keep the "
                    "previous build: run again"
                ) from None


class LakeCatalog:
    """The catalog of one lake; `uri` is PostgreSQL's, and without it the catalog is a file in `folder`.

    Raises UsageError for another database.
    """

    def __init__(self, storage_url: str, folder: Path, uri: Secret | None) -> None:
        self._storage_url, self._folder = storage_url, folder
        self._uri, self._redact = uri, Redactor([uri] if uri else [])
        if uri is not None:
            self._address, passwords = _address(uri)
            self._redact = Redactor([uri, *passwords])

    @contextlib.contextmanager
    def committing(self, wait_seconds: float) -> Iterator[tuple[SqlCatalog, CommitLock]]:
        """Hold the lock of commits for the block, and have the catalog.

        Raises DrawdownError, naming the holder where it is known, if another process holds it for longer than the wait,
        or if the database fails.
        """
        with self.words(), self._lock(wait_seconds) as lock:
            catalog = self._open()
            try:
                yield catalog, lock
            finally:
                catalog.engine.dispose()

    @contextlib.contextmanager
    def words(self) -> Iterator[None]:
        """Raise errors of the catalog and its database as DrawdownError, without passwords."""
        try:
            from pyiceberg.exceptions import CommitFailedException, ValidationException
            from sqlalchemy.exc import SQLAlchemyError
        except ImportError as problem:
            raise DrawdownError(f"{problem.name or 'pyiceberg'} {_MISSING}") from None
        try:
            yield
        except SQLAlchemyError as problem:
            said = first_line(Exception(self._redact.text(str(getattr(problem, "orig", None) or problem))))
            raise DrawdownError(
                f"the catalog of the lake's tables ({self._where}) fails: {said}; check that the database runs and "
                "that its user may create tables"
            ) from None
        except (CommitFailedException, ValidationException) as problem:
            raise DrawdownError(
                f"another program changes the lake's tables at the same time: {first_line(problem)}; run again"
            ) from None

    @property
    def _where(self) -> str:
        return (
            f"PostgreSQL, the environment variable {self._uri.name}" if self._uri else str(self._folder / CATALOG_FILE)
        )

    def _open(self) -> SqlCatalog:
        from pyiceberg.catalog.sql import SqlCatalog

        if self._uri is None:
            path = self._folder / CATALOG_FILE
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            address = f"sqlite:///{path}"
        else:
            address = self._address
        return SqlCatalog(
            NAME,
            **{
                "uri": address,
                "py-io-impl": f"{LakeFiles.__module__}.{LakeFiles.__name__}",
                STORAGE: self._storage_url,
            },
        )

    @contextlib.contextmanager
    def _lock(self, wait_seconds: float) -> Iterator[CommitLock]:
        private_folder(self._folder)
        if self._uri is None:
            with take_lock(self._folder / _LOCK_FILE, wait_seconds, what="the lake is being written"):
                yield CommitLock()
            return
        with self._database_lock(wait_seconds) as session:
            yield CommitLock(session)

    @contextlib.contextmanager
    def _database_lock(self, wait_seconds: float) -> Iterator[Any]:
        from sqlalchemy import create_engine, text
        from sqlalchemy.pool import NullPool

        key = int.from_bytes(hashlib.sha256(self._storage_url.encode()).digest()[:8], signed=True)
        try:
            engine = create_engine(self._address, poolclass=NullPool)
        except ImportError:
            raise DrawdownError("psycopg2 is not installed; pip install 'drawdown[postgres]' installs it") from None
        deadline = time.monotonic() + wait_seconds
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
            while not session.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
                if time.monotonic() >= deadline:
                    raise DrawdownError(
                        f"the lake is being written by another process (an advisory lock in PostgreSQL); waited "
                        f"{wait_seconds:.0f} s. Try again when it has finished, or end it"
                    )
                time.sleep(_POLL_SECONDS)
            yield session


def _address(uri: Secret) -> tuple[str, list[Secret]]:
    """SQLAlchemy's address of a PostgreSQL URI, and the password in it."""
    try:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError
    except ImportError:
        raise DrawdownError(f"sqlalchemy {_MISSING}") from None
    try:
        url = make_url(uri.reveal())
    except (ArgumentError, ValueError):
        raise UsageError(f"{uri.name} is no URI of a database; write postgresql://user@host:5432/database") from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise UsageError(f"{uri.name}: the catalog may be in PostgreSQL; write postgresql://user@host:5432/database")
    passwords = []
    if url.password:
        with contextlib.suppress(ValueError):
            passwords.append(Secret(str(url.password), name=uri.name))
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False), passwords
