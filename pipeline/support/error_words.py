"""Errors of DuckDB and the disk, reworded with a remedy."""

from __future__ import annotations

import re
from typing import Final

import duckdb

from pipeline.support.errors import first_line

_LONGEST: Final = 500
"""Maximum length of a message about a disk: it may contain two long paths."""
_FULL: Final = ("No space left on device", "File too large", "Disk quota exceeded")
_DAMAGED: Final = ("Corrupt", "not a valid DuckDB database file", "Could not read enough bytes", "replaying WAL")


def in_words(problem: Exception) -> str | None:
    """One line with the remedy for a full disk or a damaged DuckDB file; None for any other error."""
    text, said = str(problem), first_line(problem, longest=_LONGEST)
    if any(sign in text for sign in _FULL):
        return f"no room on the disk: {said}. What was committed is kept; make room and run again"
    if isinstance(problem, duckdb.Error) and any(sign in text for sign in _DAMAGED):
        return f"a DuckDB file is damaged: {said}. Landing still holds every answer: run `drawdown rebuild`"
    return None


def who_locks(problem: duckdb.Error) -> str | None:
    """Process that holds the lock of a file that could therefore not be opened; None for any other error."""
    text = str(problem)
    if "Could not set lock" not in text:
        return None
    match = re.search(r"PID (\d+)", text)
    return f"process {match[1]}" if match else "another process"
