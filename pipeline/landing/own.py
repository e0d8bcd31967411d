"""What Drawdown itself did, landed as a vendor's answer is: runs, rates, forecasts, backtests, alerts."""

from __future__ import annotations

from pipeline.clock import Clock, FetchIds
from pipeline.home import Home
from pipeline.landing.store import OWN, Fetch, LandingWriter
from pipeline.landing.walk import Span


def own_fetch(
    clock: Clock,
    run_id: str,
    what: str,
    record: bytes,
    *,
    wanted: Span | None = None,
    content_type: str = "application/json",
    resume_json: str | None = None,
) -> Fetch:
    """Something that Drawdown itself did, now, as a row of landing."""
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
    )


def land_fetch(home: Home, fetch: Fetch) -> None:
    """Land one row as a file of its own."""
    writer = LandingWriter(home.landing, fetch.vendor, fetch.endpoint, fetch.fetched_at_utc.date())
    try:
        writer.add(fetch)
        writer.close()
    finally:
        writer.abandon()


def land_own(
    home: Home,
    clock: Clock,
    run_id: str,
    what: str,
    record: bytes,
    *,
    wanted: Span | None = None,
    content_type: str = "application/json",
    resume_json: str | None = None,
) -> str:
    """Land something that Drawdown itself did, as a body under `landing/_drawdown/<what>`; returns its fetch id."""
    fetch = own_fetch(clock, run_id, what, record, wanted=wanted, content_type=content_type, resume_json=resume_json)
    land_fetch(home, fetch)
    return fetch.fetch_id
