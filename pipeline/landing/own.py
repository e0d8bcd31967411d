"""Entries that Drawdown itself lands: one envelope and one compatibility rule for every kind.

Each row under `landing/_drawdown/` has the version of Drawdown that wrote it (`version_id`) and the format of its kind
(`format_version`). A body in a later format is skipped with one warning that names the version, and so is an unreadable
body of a later version; any other unreadable body is damaged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pipeline import __version__
from pipeline.landing.listing_walk import Span
from pipeline.landing.store import (
    BACKTESTS,
    FORECASTS,
    FX_RATES,
    MONTH_OUTLOOKS,
    OWN,
    RUNS,
    STATUSES,
    Fetch,
    LandingWriter,
)
from pipeline.support.clock import Clock, FetchIds
from pipeline.support.home import Home
from pipeline.support.notices import warn

_Read = TypeVar("_Read")

ALERTS: Final = "alerts"
"""Under OWN: alert transitions, and the outcomes of messages."""

FORMATS: Final[Mapping[str, int]] = MappingProxyType(
    {RUNS: 1, ALERTS: 1, FORECASTS: 1, MONTH_OUTLOOKS: 1, BACKTESTS: 2, STATUSES: 1, FX_RATES: 2}
)
"""Newest format, by kind; increased when earlier versions would not understand a body. NULL reads as 1.

Backtests are format 1 without a competitor, and format 2 with one, whose name earlier tables refuse.
Exchange rates are format 1 as the CSV of the installed package, and format 2 as any other answer to a request.
"""

ENVELOPE: Final = ("endpoint", "version_id", "format_version")
"""Columns of landing that the compatibility rule needs in addition to the body."""


def own_fetch(
    clock: Clock,
    run_id: str,
    what: str,
    record: bytes,
    *,
    wanted: Span | None = None,
    content_type: str = "application/json",
    resume_json: str | None = None,
    format_version: int | None = None,
) -> Fetch:
    """Build a landing row for something that Drawdown itself did now, in the newest format unless one is given."""
    now = clock.now()
    return Fetch(
        fetch_id=FetchIds().draw(),
        run_id=run_id,
        vendor=OWN,
        account_id="*",
        endpoint=what,
        request_url="",
        window_from_date=wanted.from_date if wanted else None,
        window_to_date=wanted.to_date if wanted else None,
        page_number=1,
        is_complete=True,
        started_at_utc=now,
        fetched_at_utc=now,
        status_code=None,
        outcome="ok",
        reason=None,
        attempt_count=0,
        elapsed_seconds=0.0,
        content_type=content_type,
        body=record,
        is_redacted=False,
        resume_json=resume_json,
        format_version=format_version or FORMATS.get(what),
    )


def land_fetch(home: Home, fetch: Fetch) -> str:
    """Land one row in its own file; return its fetch id."""
    writer = LandingWriter(home.landing, fetch.vendor, fetch.endpoint, fetch.fetched_at_utc.date())
    try:
        writer.add(fetch)
        writer.close()
    finally:
        writer.abandon()
    return fetch.fetch_id


def land_own(
    home: Home,
    clock: Clock,
    run_id: str,
    what: str,
    record: bytes,
    content_type: str = "application/json",
    format_version: int | None = None,
) -> str:
    """Land a body under `landing/_drawdown/<what>`, in the newest format unless one is given; return its fetch id."""
    fetch = own_fetch(clock, run_id, what, record, content_type=content_type, format_version=format_version)
    return land_fetch(home, fetch)


def read_own(row: Mapping[str, Any], decode: Callable[[bytes], _Read]) -> _Read | None:
    """Decode the body of a row; None, with one warning, if only a later version can read it.

    `row` has the ENVELOPE, `fetch_id` and `body`. Raises ValueError for a damaged body: one for which `decode` raises
    ValueError, KeyError or TypeError.
    """
    if is_later_format(row):
        _pass_over(row)
        return None
    try:
        return decode(row["body"])
    except (ValueError, KeyError, TypeError) as problem:
        if is_later_version(row["version_id"]):
            _pass_over(row)
            return None
        raise ValueError(
            f"landing holds a damaged body under {OWN}/{row['endpoint']}: fetch {row['fetch_id']}: "
            f"{type(problem).__name__}"
        ) from None


def is_later_format(row: Mapping[str, Any]) -> bool:
    """Whether a body has a format that this version does not know."""
    return (row["format_version"] or 1) > FORMATS.get(row["endpoint"], 1)


def is_later_version(version_id: str | None) -> bool:
    """Whether a version of Drawdown is later than this one."""
    return _numbers(version_id or "") > _numbers(__version__)


def _numbers(version_id: str) -> tuple[int, ...]:
    found = re.match(r"\d+(?:\.\d+)*", version_id)
    return tuple(map(int, found[0].split("."))) if found else ()


def _pass_over(row: Mapping[str, Any]) -> None:
    warn(
        f"landing holds entries under {OWN}/{row['endpoint']} that Drawdown {row['version_id']} wrote and this one, "
        f"{__version__}, cannot read: they are skipped. Install Drawdown {row['version_id']} or later to read them"
    )
