"""Lock between processes: an flock on a file that names its holder. It is released when the holder dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import time
from pathlib import Path
from typing import IO, Final

from pipeline.support.errors import DrawdownError

_POLL_SECONDS: Final = 0.05


def take_lock(path: Path, wait_seconds: float, *, what: str) -> IO[str]:
    """Take the lock and return its file; closing it releases the lock.

    `what` begins the error's sentence, such as `the warehouse is being written`. Raises DrawdownError, naming the
    holder, if another process holds the lock for longer than the wait; OSError if the disk fails.
    """
    handle = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    if not wait_for_lock(handle, wait_seconds):
        holder = handle.read().strip() or "another process"
        handle.close()
        raise DrawdownError(
            f"{what} by {holder}; waited {wait_seconds:.0f} s. Try again when it has finished, or end it"
        )
    try:
        handle.seek(0)
        handle.truncate()
        handle.write(f"process {os.getpid()} ({Path(sys.argv[0]).name or 'python'})")
        handle.flush()
    except OSError:
        # On a full disk, the lock must be released with the file.
        with contextlib.suppress(OSError):
            handle.close()
        raise
    return handle


def wait_for_lock(handle: IO[str] | int, wait_seconds: float) -> bool:
    """Lock an open file, without writing to it; returns False if another process holds it for longer than the wait.

    Raises OSError if the disk fails.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            if problem.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
