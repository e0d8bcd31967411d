"""Return of freed memory to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def return_freed_memory() -> None:
    """Return what was freed to the system, where the C library can (glibc): it keeps much of it in its arenas.

    It takes milliseconds, so call it where many megabytes have become free.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
