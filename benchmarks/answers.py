"""An invented vendor's answers, as they are landed."""

from __future__ import annotations

from datetime import date, datetime

from pipeline.landing.store import Fetch


def good_answer(
    vendor: str,
    account_id: str,
    endpoint: str,
    body: bytes,
    *,
    at: datetime,
    number: int,
    run_id: str = "run",
    page: int = 1,
    is_last: bool = True,
    days: tuple[date | None, date] | None = None,
    resume_json: str | None = None,
) -> Fetch:
    """A good answer that took 0.2 seconds.

    `number` distinguishes the answers of one instant `at`; `days` are the first and last day requested.
    """
    return Fetch(
        fetch_id=f"{int(at.timestamp()) * 1_000_000_000 + number:016x}",
        run_id=run_id,
        vendor=vendor,
        account_id=account_id,
        endpoint=endpoint,
        request_url=f"https://{vendor}.example/{endpoint}",
        window_from_date=days[0] if days else None,
        window_to_date=days[1] if days else None,
        page_number=page,
        is_complete=is_last,
        started_at_utc=at,
        fetched_at_utc=at,
        status_code=200,
        outcome="ok",
        reason=None,
        attempt_count=1,
        elapsed_seconds=0.2,
        content_type="application/json",
        body=body,
        is_redacted=False,
        resume_json=resume_json,
    )
