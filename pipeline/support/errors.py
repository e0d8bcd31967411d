"""The errors that a person is meant to read: one clear line, and the exit code that goes with it."""

from __future__ import annotations

from pipeline import __version__


class DrawdownError(Exception):
    """Something is wrong that a person can mend; the message says what, where and what to do. Exit code 1."""

    exit_code = 1


class UsageError(DrawdownError):
    """The request or the settings are wrong; nothing was fetched and nothing was written. Exit code 2."""

    exit_code = 2


def unknown(what: str) -> str:
    """That settings hold something which this version does not know; a later one may."""
    return f"unknown {what} in Drawdown {__version__}"


def first_line(problem: Exception, *, longest: int = 200) -> str:
    """The first line of a library's error, cut to a length, or the error's name where it says nothing."""
    return (str(problem).splitlines() or [type(problem).__name__])[0][:longest]
