"""Result of the last run: a small file that `drawdown status` and the metrics read in addition to the build.

A failed run keeps the last build in place, so the build cannot record the failure. The file has a constant size from
the first run on and is written in place, because a run may fail on a full disk. If it is lost, the next run writes it
again.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from pipeline.support.home import Home, private_folder

FORMAT: Final = 1
"""Increased if an earlier version would misread the file. A file of a later version is ignored."""
LATE_AFTER: Final = timedelta(hours=3)
"""Time without a refresh after which one that is scheduled hourly is late."""
_BYTES: Final = 8192
_MOST_LINES: Final = 10
_LONGEST_LINE: Final = 300


class LastRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Result of a run, and for how long runs have ended that way."""

    run_id: str
    ended_at_utc: datetime
    """By the run's clock."""
    is_ok: bool
    """Whether a build was published. A failed vendor is no failed run: its accounts are stale."""
    problems: tuple[str, ...] = ()
    """First lines of the reason for the failure."""
    failed_since_utc: datetime | None = None
    """End of the first of the consecutive failed runs; None if it did not fail."""
    failed_run_count: int = 0
    """Number of consecutive failed runs."""
    notified_recipients: tuple[str, ...] = msgspec.field(default=(), name="told_recipients")
    """Recipients that were notified while landing could not be written."""
    format_version: int = FORMAT


def read_last_run(home: Home) -> LastRun | None:
    """Read the result of the last run; None if unknown."""
    try:
        digest, _, rest = _path(home).read_bytes().partition(b"\n")
        body = rest.split(b"\n", 1)[0]
        if digest.decode("ascii") != sha256(body).hexdigest():
            return None
        found = msgspec.json.decode(body, type=LastRun)
    except (OSError, ValueError):
        return None
    return found if found.format_version <= FORMAT else None


def write_last_run(home: Home, run: LastRun) -> None:
    """Write the file, synced. Raises OSError if it does not exist yet and the disk has no room for it."""
    lines = tuple(" ".join(line.split())[:_LONGEST_LINE] for line in run.problems[:_MOST_LINES])
    body = msgspec.json.encode(msgspec.structs.replace(run, problems=lines))
    text = sha256(body).hexdigest().encode() + b"\n" + body + b"\n"
    private_folder(home.path)
    handle = os.open(_path(home), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(handle, text.ljust(_BYTES), 0)
        os.fsync(handle)
    finally:
        os.close(handle)


def after_failure(before: LastRun | None, run_id: str, at: datetime, problems: tuple[str, ...]) -> LastRun:
    """Record of a failed run."""
    ended = LastRun(
        run_id=run_id, ended_at_utc=at, is_ok=False, problems=problems, failed_since_utc=at, failed_run_count=1
    )
    if before is None or before.is_ok:
        return ended
    return msgspec.structs.replace(
        ended,
        failed_since_utc=before.failed_since_utc,
        failed_run_count=before.failed_run_count + 1,
        notified_recipients=before.notified_recipients,
    )


def _path(home: Home) -> Path:
    return home.path / "last_run"
