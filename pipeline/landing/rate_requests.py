"""Requests for current exchange rates: at most one file a UTC day, landed as it was received.

The European Central Bank publishes the rates of a working day at about 16:00 Frankfurt time. The file of one day is
requested if it leaves no gap, and otherwise that of the last 90 days or the complete history. A failure is one warning,
and the rates that are known stay in use.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Final

import msgspec

from pipeline.http import Client, HttpOutcome, HttpResult, Network, Patience, RateLimit, RateLimits
from pipeline.landing.ecb_rates import PACKAGE_NAME, RateState, landed_state
from pipeline.landing.interrupts import run_interruptible
from pipeline.landing.listing_walk import Span
from pipeline.landing.own import land_fetch, own_fetch
from pipeline.landing.rate_files import LARGEST_BYTES, format_of, is_usable, read_rates
from pipeline.landing.store import FX_RATES
from pipeline.schema.limits import CURRENT_RATE_DAYS
from pipeline.settings import RateSource
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from pipeline.support.wording import count

ABOUT: Final = "exchange rates"
"""Beginning of each message."""

_DAILY: Final = "eurofxref-daily.xml"
_LAST_90_DAYS: Final = "eurofxref-hist-90d.xml"
_HISTORY: Final = "eurofxref-hist.zip"
_SUFFIXES: Final = (".xml", ".zip", ".csv")
# The ECB states no limit, and one file a day needs none: this only keeps an error here from becoming a burden there.
_LIMIT: Final = RateLimit(requests=10, per_seconds=60, scope="address")
# The 90 days of the file are calendar days, and its first may be a holiday.
_DAYS_OF_90: Final = 85
# A run has what it needs without these rates, so it does not wait long for them.
_DEADLINE_SECONDS: Final = 20.0
_ATTEMPTS: Final = 3


def request_rates(
    home: Home, clock: Clock, run_id: str, source: RateSource, *, patience: Patience, allow_http_loopback: bool = False
) -> str | None:
    """Request and land the rates that are not known yet; return the one warning of the run about rates, or None.

    Nothing is requested if the source is the package, if rates were received today, if those of today are known, or if
    the clock is set and the address is not a sandbox's. An answer without usable rates, or with rates of the future,
    is landed as a failure. Nothing that the network or the server does raises.
    """
    if source.is_requested and clock.as_of is not None and not source.is_loopback:
        return None
    known = landed_state(home) or RateState()
    problem = None
    if _is_due(known, source, clock.today()):
        answer = _get(source, _file_wanted(known, source, clock.today()), patience, allow_http_loopback)
        known, problem = _land(home, clock, run_id, known, answer)
    outdated = is_outdated(known, clock.today())
    words = newest_words(known, source, clock.today())
    if problem is not None:
        return f"{problem}; {words}"
    return f"{ABOUT}: {words}: {remedy(source)}" if outdated else None


def is_outdated(known: RateState, today: date) -> bool:
    """Whether the newest rate is so old that amounts of today are marked, or not converted at all."""
    return known.newest_date is not None and (today - known.newest_date).days > CURRENT_RATE_DAYS


def newest_words(known: RateState, source: RateSource, today: date) -> str:
    """The day and the age of the newest rate, and how long it is used if it is outdated."""
    if known.newest_date is None:
        return "none is known yet"
    age_days = (today - known.newest_date).days
    words = f"the newest is of {known.newest_date}, {count(age_days, 'day')} ago"
    if not is_outdated(known, today):
        return words
    limit = f"up to {source.oldest_days} days"
    if age_days > source.oldest_days:
        return f"{words}, and rates are used {limit}"
    return f"{words}; it is used {limit}, and amounts are marked"


def remedy(source: RateSource) -> str:
    """What to do about outdated rates."""
    if source.is_requested:
        return "check fx.url, and the warnings of earlier runs"
    return f'upgrade {PACKAGE_NAME}, or set fx.source = "ecb"'


def _is_due(known: RateState, source: RateSource, today: date) -> bool:
    if not source.is_requested or known.requested_date == today:
        return False
    return known.newest_date is None or known.newest_date < today


def _file_wanted(known: RateState, source: RateSource, today: date) -> str:
    """Path below the address, with its slash; empty if the address is a file itself."""
    if source.url.endswith(_SUFFIXES):
        return ""
    through = known.through_date
    if through is None or (today - through).days > _DAYS_OF_90:
        return f"/{_HISTORY}"
    return f"/{_DAILY if _working_days_between(through, today) <= 1 else _LAST_90_DAYS}"


def _working_days_between(first: date, last: date) -> int:
    """Number of days from Monday to Friday after the first day and before the last; holidays are not known here."""
    return sum((first + timedelta(days=number)).weekday() < 5 for number in range(1, (last - first).days))


def _get(source: RateSource, path: str, patience: Patience, allow_http_loopback: bool) -> HttpResult:
    url = source.url
    if not path:
        url, _, name = url.rpartition("/")
        path = f"/{name}"

    async def ask() -> HttpResult:
        async with Network() as network:
            with RateLimits() as limits:
                client = Client(
                    network,
                    vendor=FX_RATES,
                    account_id="*",
                    base_url=url,
                    headers={"accept": "application/xml, application/zip, text/csv;q=0.9, */*;q=0.1"},
                    rate_limit=_LIMIT,
                    rate_limits=limits,
                    patience=replace(
                        patience,
                        deadline_seconds=min(patience.deadline_seconds, _DEADLINE_SECONDS),
                        attempts=min(patience.attempts, _ATTEMPTS),
                        body_cap_bytes=min(patience.body_cap_bytes, LARGEST_BYTES),
                    ),
                    allow_http_loopback=allow_http_loopback,
                    reads_json=False,
                    title=ABOUT,
                    setting="fx.url",
                )
                return await client.get(path)

    return run_interruptible(ask())


def _land(home: Home, clock: Clock, run_id: str, known: RateState, answer: HttpResult) -> tuple[RateState, str | None]:
    """Land an answer; return the state after it, and the problem if it is no usable file."""
    outcome, reason = str(answer.outcome), answer.reason
    span: Span | None = None
    content_type = answer.content_type
    if answer.outcome is HttpOutcome.ok:
        try:
            days = _days_of(answer.body, clock.today())
        except ValueError as problem:
            outcome = str(HttpOutcome.unreadable)
            reason = f"{ABOUT}: the answer of {answer.url} {problem}: check fx.url, and see the landed answer"
        else:
            known = _after(known, days, clock.today())
            span, content_type = Span(from_date=days[0], to_date=days[-1]), format_of(answer.body)
    is_good = span is not None
    fetch = own_fetch(
        clock,
        run_id,
        FX_RATES,
        answer.body,
        wanted=span,
        content_type=content_type or "",
        resume_json=msgspec.json.encode(known).decode(),
    )
    fetch = replace(
        fetch,
        request_url=answer.url,
        is_complete=is_good,
        status_code=answer.status_code,
        outcome=outcome,
        reason=None if is_good else reason,
        attempt_count=answer.attempt_count,
        elapsed_seconds=answer.elapsed_seconds,
        started_at_utc=fetch.started_at_utc
        if clock.as_of
        else fetch.started_at_utc - timedelta(seconds=answer.elapsed_seconds),
    )
    land_fetch(home, fetch)
    return known, None if is_good else reason


def _days_of(body: bytes, today: date) -> list[date]:
    """Days with a usable rate, in order. Raises ValueError with a few words if there is none, or one of the future."""
    rates = read_rates(body)
    days: list[date] = rates.filter(is_usable())["rate_date"].unique().sort().to_list()
    if not days:
        raise ValueError("holds no rate")
    # The clocks of two countries may differ by a day.
    if days[-1] > today + timedelta(days=1):
        raise ValueError(f"states rates of {days[-1]}, which is in the future")
    return days


def _after(known: RateState, days: list[date], today: date) -> RateState:
    newest = max(filter(None, (known.newest_date, days[-1])))
    through = known.through_date
    # A file of several days has all working days between them, and the days between may have been holidays.
    if through is None or len(days) > 1 or not _working_days_between(through, days[0]):
        through = max(filter(None, (through, days[-1])))
    return msgspec.structs.replace(known, newest_date=newest, through_date=through, requested_date=today)
