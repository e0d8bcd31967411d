"""Storage in an S3 bucket, by PyArrow; an upload is complete or absent.

PyArrow cannot upload under a condition, so `put_bytes(..., if_absent=True)` needs obstore, of `drawdown[spark]`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from pipeline.lake.object_store import NotStored, ObjectStore, StoredFile, checked_key
from pipeline.support.errors import DrawdownError, UsageError, first_line
from pipeline.support.home import atomic_file
from pipeline.support.secret import Redactor, Secret

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_KEY_ID, _KEY, _TOKEN = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
_REGION, _ENDPOINT = "AWS_REGION", "AWS_ENDPOINT_URL"
_DEFAULT_REGION: Final = "us-east-1"
_CONNECT_SECONDS: Final = 10.0
_REQUEST_SECONDS: Final = 60.0
_ATTEMPTS: Final = 4
"""Of each request, with growing pauses."""
_LONGEST: Final = 300
_CHUNK_BYTES: Final = 2**22

_REMEDIES: Final = (
    (r"NO_SUCH_BUCKET|NoSuchBucket", "the bucket does not exist; create it, or correct the storage's URL"),
    (
        r"INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN_ID|UNRECOGNIZED_CLIENT|InvalidAccessKeyId",
        f"the storage does not know the key; correct {_KEY_ID}",
    ),
    (
        r"SIGNATURE_DOES_NOT_MATCH|INVALID_SIGNATURE|SignatureDoesNotMatch",
        f"the key is wrong; correct {_KEY} (and {_TOKEN}, if it is set)",
    ),
    (r"EXPIRED|ExpiredToken|InvalidToken", f"the session has expired; renew {_KEY_ID}, {_KEY} and {_TOKEN}"),
    (
        r"ACCESS_DENIED|AccessDenied|HTTP status 403|Forbidden|status: 403",
        f"no permission; the user of {_KEY_ID} needs s3:ListBucket, GetObject, PutObject and DeleteObject there",
    ),
    (
        r"NETWORK_CONNECTION|REQUEST_TIMEOUT|error sending request|Could not resolve",
        f"the storage is not reachable; check the network and {_ENDPOINT}",
    ),
    (
        r"301|PERMANENT_REDIRECT|PermanentRedirect|AuthorizationHeaderMalformed",
        f"the bucket is in another region; correct {_REGION}",
    ),
)
"""What an error's text is recognised by, of PyArrow and of obstore, and its remedy."""


class S3Store(ObjectStore):
    """Files in a bucket, below a prefix."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix
        self.url = "/".join(filter(None, (f"s3://{bucket}", prefix)))
        self._key_id, self._key = _secret(_KEY_ID), _secret(_KEY)
        self._token = _secret(_TOKEN) if os.environ.get(_TOKEN) else None
        self._region = os.environ.get(_REGION) or os.environ.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION
        self._endpoint = os.environ.get(_ENDPOINT) or None
        if self._endpoint and not re.fullmatch(r"https?://[^/@\s]+/?", self._endpoint):
            raise UsageError(f"{_ENDPOINT} is no address of a server; write https://host:port")
        self._redact = Redactor([each for each in (self._key_id, self._key, self._token) if each])
        self._files: pafs.S3FileSystem | None = None

    def put(self, local: Path, key: str) -> int:
        """Copy a local file into the storage."""
        with local.open("rb") as source, self._words("cannot write", key), self._open_output(key) as target:
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
            return int(source.tell())

    def put_bytes(self, key: str, content: bytes, *, if_absent: bool = False) -> bool:
        """Store bytes."""
        if if_absent:
            return self._put_if_absent(key, content)
        with self._words("cannot write", key), self._open_output(key) as target:
            target.write(content)
        return True

    def get(self, key: str, local: Path) -> None:
        """Copy a file to a local path."""
        with (
            self._words("cannot read", key),
            self.open_input(key) as source,
            atomic_file(local) as temporary,
            temporary.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, _CHUNK_BYTES)

    def read(self, key: str) -> bytes:
        """The bytes of a file."""
        with self._words("cannot read", key), self.open_input(key) as source:
            return source.read()

    def open_input(self, key: str) -> IO[bytes]:
        """Open a file for reading."""
        with self._words("cannot read", key):
            return cast("IO[bytes]", self._arrow().open_input_file(self._path(key)))

    def size(self, key: str) -> int:
        """Size in bytes."""
        with self._words("cannot read", key):
            info = self._arrow().get_file_info(self._path(key))
            if not info.is_file:
                raise FileNotFoundError(key)
            return int(info.size)

    def list(self, prefix: str = "") -> Iterator[StoredFile]:
        """Files below a folder."""
        import pyarrow.fs as pafs

        with self._words("cannot list", prefix):
            try:
                listed = self._arrow().get_file_info(pafs.FileSelector(self._path(prefix), recursive=True))
            except FileNotFoundError:
                # A folder without files does not exist.
                self._check_bucket("cannot list", self.url)
                return
            found = [info for info in listed if info.is_file]
        start = len(self._path("")) + 1
        for info in sorted(found, key=lambda each: cast("str", each.path)):
            yield StoredFile(info.path[start:], int(info.size), info.mtime.astimezone(UTC))

    def delete(self, key: str) -> None:
        """Delete a file, if there is one."""
        with self._words("cannot delete", key):
            try:
                self._arrow().delete_file(self._path(key))
            except FileNotFoundError:
                self._check_bucket("cannot delete", self.location(key))

    def _path(self, key: str) -> str:
        return "/".join(filter(None, (self._bucket, self._prefix, checked_key(key) if key else "")))

    @contextlib.contextmanager
    def _open_output(self, key: str) -> Iterator[Any]:
        stream = self._arrow().open_output_stream(self._path(key))
        try:
            yield stream
        except BaseException:
            # PyArrow has no way to abort: closing, also by the garbage collector, completes the upload.
            with contextlib.suppress(Exception):
                stream.close()
                self._arrow().delete_file(self._path(key))
            raise
        stream.close()

    def _arrow(self) -> pafs.S3FileSystem:
        if self._files is None:
            import pyarrow.fs as pafs

            self._files = pafs.S3FileSystem(
                access_key=self._key_id.reveal(),
                secret_key=self._key.reveal(),
                session_token=self._token.reveal() if self._token else None,
                region=self._region,
                endpoint_override=self._endpoint,
                connect_timeout=_CONNECT_SECONDS,
                request_timeout=_REQUEST_SECONDS,
                retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
                allow_delayed_open=True,  # a small file is one request
            )
        return self._files

    def _put_if_absent(self, key: str, content: bytes) -> bool:
        try:
            from obstore.exceptions import AlreadyExistsError
            from obstore.store import S3Store as Conditional
        except ImportError:
            raise DrawdownError(
                f"obstore is not installed, which writes {self.location(key)} only if it is absent; "
                "pip install 'drawdown[spark]' installs it"
            ) from None
        with self._words("cannot write", key):
            store: Any = Conditional(
                self._bucket,
                prefix=self._prefix or None,
                access_key_id=self._key_id.reveal(),
                secret_access_key=self._key.reveal(),
                session_token=self._token.reveal() if self._token else None,
                region=self._region,
                endpoint=self._endpoint,
                client_options={"allow_http": True, "connect_timeout": f"{_CONNECT_SECONDS:.0f}s"},
                retry_config={"max_retries": _ATTEMPTS - 1},
            )
            try:
                cast("Callable[..., Any]", store.put)(checked_key(key), content, mode="create")
            except AlreadyExistsError:
                return False
        return True

    @contextlib.contextmanager
    def _words(self, what: str, key: str) -> Iterator[None]:
        """Raise errors of the storage as DrawdownError, without keys."""
        where = f"{self.url}/{key}".rstrip("/")
        try:
            yield
        except FileNotFoundError:
            self._check_bucket(what, where)
            raise NotStored(f"{where} does not exist") from None
        except (DrawdownError, ValueError):
            raise
        except Exception as problem:
            raise self._failure(what, where, problem) from None

    def _check_bucket(self, what: str, where: str) -> None:
        """Raise DrawdownError if what is missing is the bucket."""
        import pyarrow.fs as pafs

        try:
            is_there = self._arrow().get_file_info(self._bucket).type != pafs.FileType.NotFound
        except OSError as problem:
            raise self._failure(what, where, problem) from None
        if not is_there:
            raise self._failure(what, where, OSError("NO_SUCH_BUCKET"))

    def _failure(self, what: str, where: str, problem: Exception) -> DrawdownError:
        said = self._redact.text(str(problem))
        for pattern, remedy in _REMEDIES:
            if re.search(pattern, said):
                return DrawdownError(f"{what} {where}: {remedy}")
        return DrawdownError(f"{what} {where}: {first_line(Exception(said), longest=_LONGEST)}; try again")


def _secret(variable: str) -> Secret:
    value = os.environ.get(variable)
    if not value:
        raise UsageError(f"the environment variable {variable} is not set; an s3:// storage takes its key from there")
    try:
        return Secret(value, name=variable)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
