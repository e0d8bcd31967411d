"""Errors meant for people: one clear line, and an exit code."""

from __future__ import annotations

from pipeline import __version__


class DrawdownError(Exception):
    """A problem that a person can fix; the message has what, where and the remedy. Exit code 1."""

    exit_code = 1


class UsageError(DrawdownError):
    """The request or the settings are wrong; nothing was fetched and nothing was written. Exit code 2."""

    exit_code = 2


def unknown(what: str) -> str:
    """Text for a setting that this version does not know, but a later one may."""
    return f"unknown {what} in Drawdown {__version__}"


def first_line(problem: Exception, *, longest: int = 200) -> str:
    """First line of a library's error, truncated, or the error's name if it has no message."""
    return (str(problem).splitlines() or [type(problem).__name__])[0][:longest]
