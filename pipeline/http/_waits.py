"""How long to wait, and for how long at most."""

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """What one GET may cost in time, attempts and bytes. Vendors publish none of these: they are our own."""

    deadline_seconds: float = 60.0
    """The whole GET: waits, retries and reading included."""
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 15.0
    """Between two pieces of an answer, the headers included."""
    attempts: int = 4
    """Requests at most, the first included."""
    backoff_seconds: float = 0.5
    """The first wait is random up to this; each later one up to twice the one before."""
    backoff_cap_seconds: float = 15.0
    body_cap_bytes: int = 64 * 1024 * 1024
    """Of a body, both as sent and decompressed."""
    value_cap: int = 2_000_000
    """Of values in a body: 64 MiB of `[],[],` would otherwise decode into gigabytes."""


def parse_date(text: str | None) -> datetime | None:
    """Return an HTTP date in UTC, or None when it is absent or unreadable."""
    try:
        date = email.utils.parsedate_to_datetime(text or "")
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def asked_wait_seconds(status_code: int, headers: Mapping[str, str], *, local_now: datetime) -> float | None:
    """Return the seconds that the server asks to wait, or None when it asks for nothing usable.

    Read are Retry-After (seconds, with or without a fraction, or an HTTP date) and, on a 429 without one,
    X-RateLimit-Reset (epoch seconds, as Voxpria documents it). An instant is measured from the server's own
    Date where it sends one, because `local_now` may be wrong by a day. Nothing negative or past is usable.
    """
    now = parse_date(headers.get("date")) or local_now
    retry_after = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(retry_after):
        wait = float(retry_after)
    elif (date := parse_date(retry_after)) is not None:
        wait = (date - now).total_seconds()
    elif status_code == 429 and _SECONDS.fullmatch(reset := headers.get("x-ratelimit-reset", "").strip()):
        wait = float(reset) - now.timestamp()
    else:
        return None
    return wait if wait > 0 else None
