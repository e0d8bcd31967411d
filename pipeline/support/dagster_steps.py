"""Helpers for the assets of all layers: asset keys, readable failures, and progress lines."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final

import dagster as dg
import duckdb

from pipeline.support.error_words import in_words
from pipeline.support.errors import DrawdownError
from pipeline.support.last_run import LATE_AFTER
from pipeline.support.printable import printable, printable_lines

_STEPS = logging.getLogger("pipeline.steps")
"""Logger for short progress lines of assets; the command line prints them, Dagster has the numbers as metadata."""

OWNERS: Final = ["team:drawdown"]

HOURLY: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26), warn_window=LATE_AFTER)
"""Balances are requested hourly: three hours without one are a warning, more than a day is a failure."""

FRESHNESS: Final = {"hourly": HOURLY}
"""Policies that a table can name as its `freshness`."""


def asset_key(full_name: str) -> dg.AssetKey:
    """`layer.table` as an asset key."""
    return dg.AssetKey(full_name.split("."))


@contextlib.contextmanager
def readable_failures() -> Iterator[None]:
    """Turn an error meant for people into a Dagster failure with that one sentence."""
    try:
        yield
    except DrawdownError as problem:
        raise dg.Failure(description=printable(problem), allow_retries=False) from None
    except (duckdb.Error, OSError) as problem:
        if words := in_words(problem):
            raise dg.Failure(description=printable(words), allow_retries=False) from None
        raise


def described(lines: Iterable[str]) -> str | None:
    """Results of a check, one line each, as Dagster and the command line show them; None without any."""
    return printable_lines(lines) or None


def note(context: dg.AssetExecutionContext | dg.OpExecutionContext, what: str, *, is_warning: bool = False) -> None:
    """Write a line to the run's log."""
    (context.log.warning if is_warning else context.log.info)(printable(what))


def say(what: str) -> None:
    """Report a completed step."""
    _STEPS.info(printable(what))
