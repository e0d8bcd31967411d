"""The storage of a URL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pipeline.lake.file_store import FileStore
from pipeline.lake.object_store import NO_PATH, ObjectStore
from pipeline.lake.s3_store import S3Store
from pipeline.support.errors import UsageError
from pipeline.support.printable import printable

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def open_store(url: str) -> ObjectStore:
    """The storage of a URL, `file:///path` or `s3://bucket/prefix`; nothing is created or requested yet.

    Raises UsageError for any other URL, and for S3 without keys in the environment.
    """
    # The text may contain a key where none belongs, so it is not shown.
    try:
        parts = urlsplit(url)
        has_more = "@" in parts.netloc or bool(parts.query or parts.fragment)
    except ValueError:
        raise UsageError("the storage is no URL; write file:///path or s3://bucket/prefix") from None
    if has_more:
        raise UsageError(
            "the storage's URL has more than a path; write file:///path or s3://bucket/prefix, and give keys by "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    path = parts.path.strip("/")
    if NO_PATH.search(url) or "//" in path or not {".", ".."}.isdisjoint(path.split("/")):
        raise UsageError(f"storage {printable(url)}: a path has no empty part, no .., and none of * ? [ ] {{ }} % # \\")
    if parts.scheme == "file" and not parts.netloc and path:
        return FileStore(Path("/" + path))
    if parts.scheme == "s3" and _BUCKET.fullmatch(parts.netloc):
        return S3Store(parts.netloc, path)
    raise UsageError(f"storage {printable(url)}: write file:///path or s3://bucket/prefix")
