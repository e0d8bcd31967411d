"""What the steps of every layer have in common: asset keys, readable failures, and lines for whoever watches."""

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
from pipeline.support.printable import printable, printable_lines

_STEPS = logging.getLogger("pipeline.steps")
"""Says in short what each asset has done; the command line shows it, Dagster keeps the numbers as metadata."""

OWNERS: Final = ["team:drawdown"]

HOURLY: Final = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26), warn_window=timedelta(hours=3))
"""Balances are asked for hourly: three hours without are worth a look, a day and more is a failure."""

FRESHNESS: Final = {"hourly": HOURLY}
"""The policies that a table can name as its `freshness`."""


def asset_key(full_name: str) -> dg.AssetKey:
    """`layer.table` as an asset key."""
    return dg.AssetKey(full_name.split("."))


@contextlib.contextmanager
def readable_failures() -> Iterator[None]:
    """Turn an error that a person is meant to read into a Dagster failure of that one sentence."""
    try:
        yield
    except DrawdownError as problem:
        raise dg.Failure(description=printable(problem), allow_retries=False) from None
    except (duckdb.Error, OSError) as problem:
        if words := in_words(problem):
            raise dg.Failure(description=printable(words), allow_retries=False) from None
        raise


def described(lines: Iterable[str]) -> str | None:
    """What a check found, a line each, as Dagster and the command line show it; None where it found nothing."""
    return printable_lines(lines) or None


def note(context: dg.AssetExecutionContext, what: str, *, is_warning: bool = False) -> None:
    """Leave a line in the run's log."""
    (context.log.warning if is_warning else context.log.info)(printable(what))


def say(what: str) -> None:
    """Tell whoever watches the run that something is done."""
    _STEPS.info(printable(what))
