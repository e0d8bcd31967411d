"""Waiting times and their limits."""

import email.utils
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

_SECONDS = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?")
_UNQUOTED_COMMAS = re.compile(r'(?:[^,"]|"[^"]*")+')
_UNQUOTED_SEMICOLONS = re.compile(r'(?:[^;"]|"[^"]*")+')

# Monthly quotas exist; anything further away is in another unit, or an error.
_LONGEST_WAIT_SECONDS: Final = 31 * 86400
# The vendor's clock and ours may be a day apart, so an instant may seem to be past.
_CLOCKS_APART_SECONDS: Final = 86400

_RESETS: Final = ("ratelimit-reset", "x-ratelimit-reset-after", "x-ratelimit-reset", "x-rate-limit-reset")
_ALLOWED: Final = ("ratelimit-limit", "x-ratelimit-limit", "x-rate-limit-limit")
_REMAINING: Final = ("ratelimit-remaining", "x-ratelimit-remaining", "x-rate-limit-remaining")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits of one GET in time, attempts and bytes. Vendors publish none of these: they are our own choice."""

    deadline_seconds: float = 60.0
    """The complete GET, including retries, the waits before them, and reading; not the wait for a permit or for room in
    our own rate limit, which the vendor does not cause."""
    limit_wait_seconds: float = 75.0
    """Maximum wait for room in our own rate limit, counted from the head of the queue: the longest limits cover a
    minute, and an hour is left to the next run."""
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 15.0
    """Between two pieces of an answer, headers included."""
    attempts: int = 4
    """Maximum number of requests, the first included."""
    backoff_seconds: float = 0.5
    """Upper limit of the first random wait; doubled for each later one."""
    backoff_cap_seconds: float = 15.0
    body_cap_bytes: int = 64 * 1024 * 1024
    """Of a body, as sent and also decompressed."""
    value_cap: int = 2_000_000
    """Number of values in a body: 64 MiB of `[],[],` would otherwise decode into gigabytes."""


def parse_date(text: str | None) -> datetime | None:
    """Return an HTTP date in UTC, or None when it is absent or unreadable."""
    try:
        date = email.utils.parsedate_to_datetime(text or "")
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse_age_seconds(text: str | None) -> float:
    """Return the seconds of an Age header, or 0.0 where it is absent or unreadable."""
    text = (text or "").strip()
    return float(text) if re.fullmatch(r"[0-9]{1,10}", text) else 0.0


def asked_wait_seconds(status_code: int, headers: Mapping[str, str], *, local_now: datetime) -> float | None:
    """Return the seconds that the server asks to wait, or None if it does not ask in a usable way.

    Read in this order: Retry-After (RFC 9110: seconds, here also with a fraction, or an HTTP date); and on a 429 or 503
    the rate limit fields: `RateLimit` of the IETF drafts (`limit=10, remaining=0, reset=6` or `"default";r=0;t=6`),
    RateLimit-Reset, X-RateLimit-Reset-After, X-RateLimit-Reset and X-Rate-Limit-Reset. RateLimit-Policy does not
    describe the current state and is ignored. On a 503 they count unless they state that requests are left: then the
    limit is not why the server refused.

    The unit of a reset is not standardised: seconds to go, epoch seconds, or epoch milliseconds. A number is an instant
    if it lies between a day ago and 31 days ahead as epoch seconds, milliseconds, microseconds or nanoseconds; at most
    one of them can. Any other number is seconds to go, up to 31 days. So milliseconds to go are read as seconds. A date
    (HTTP or ISO 8601) is an instant.

    An instant is measured from the server's own Date header if there is one, because `local_now` may be wrong by a day.
    Negative, past and more distant values are unusable: the caller then backs off as if there were none. Of several
    exhausted limits, the one that ends last counts.
    """
    now = parse_date(headers.get("date")) or local_now
    retry_after = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(retry_after):
        wait = float(retry_after)
    elif (date := parse_date(retry_after)) is not None:
        wait = (date - now).total_seconds()
    elif status_code in (429, 503):
        return _reset_seconds(status_code, headers, now)
    else:
        return None
    return wait if wait > 0 else None


def requests_left(headers: Mapping[str, str]) -> int | None:
    """Return the stated number of requests left, the fewest of several limits; None if not stated."""
    counts = [limit.remaining for limit in _limits(headers) if limit.remaining is not None]
    return min(counts, default=None)


def requests_allowed(headers: Mapping[str, str]) -> int | None:
    """Return the stated size of the vendor's limit, without its window; None if not stated.

    Of several limits in one field the first counts, which is the one in force (`RateLimit-Limit: 10, 50;w=60`).
    """
    for name in _ALLOWED:
        stated = _count(headers.get(name, "").split(",")[0].split(";")[0])
        if stated is not None:
            return stated
    return None


@dataclass(frozen=True, slots=True)
class _Limit:
    """One limit as a field states it."""

    remaining: int | None
    reset: str


def _reset_seconds(status_code: int, headers: Mapping[str, str], now: datetime) -> float | None:
    left = requests_left(headers)
    if status_code == 503 and left is not None and left > 0:
        return None
    for limits in _limits_by_field(headers):
        waits = [(limit, _until(limit.reset, now)) for limit in limits]
        usable = [(limit, wait) for limit, wait in waits if wait is not None]
        exhausted = [wait for limit, wait in usable if limit.remaining == 0]
        if exhausted:
            return max(exhausted)
        if usable:
            # If none is marked as exhausted, the first to end may be the one.
            return min(wait for _, wait in usable)
    return None


def _until(text: str, now: datetime) -> float | None:
    """Seconds from now to a reset; None if it is past, too far away, or unreadable."""
    if _SECONDS.fullmatch(text):
        number = float(text)
        wait = number
        for scale in (1, 1e3, 1e6, 1e9):
            seconds = number / scale - now.timestamp()
            if -_CLOCKS_APART_SECONDS <= seconds <= _LONGEST_WAIT_SECONDS:
                wait = seconds
                break
    else:
        date = parse_date(text) or _parse_iso(text)
        if date is None:
            return None
        wait = (date - now).total_seconds()
    return wait if 0 < wait <= _LONGEST_WAIT_SECONDS else None


def _parse_iso(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _limits(headers: Mapping[str, str]) -> Iterator[_Limit]:
    for limits in _limits_by_field(headers):
        yield from limits


def _limits_by_field(headers: Mapping[str, str]) -> Iterator[list[_Limit]]:
    """Limits stated by each field, the most reliable field first."""
    yield _structured(headers.get("ratelimit", ""))
    counts = next((headers[name] for name in _REMAINING if headers.get(name, "").strip()), "").split(",")
    remaining = [_count(text) for text in counts]
    for name in _RESETS:
        # A date contains a comma; several limits are several numbers.
        text = headers.get(name, "").strip()
        resets = [each.strip() for each in text.split(",")]
        if not all(_SECONDS.fullmatch(each) for each in resets):
            resets = [text]
        is_paired = len(resets) == len(remaining)
        yield [_Limit(remaining[place] if is_paired else None, each) for place, each in enumerate(resets)]


def _structured(text: str) -> list[_Limit]:
    """`RateLimit`: a dictionary (drafts to 07: one limit), or a list of names with parameters (drafts from 08 on)."""
    named: list[_Limit] = []
    dictionary: dict[str, str] = {}
    for piece in _UNQUOTED_COMMAS.findall(text):
        name, *rest = (each.strip() for each in _UNQUOTED_SEMICOLONS.findall(piece) or [""])
        key, is_pair, value = name.partition("=")
        if is_pair and not name.startswith('"'):
            dictionary[key.strip().lower()] = value.strip()
        else:
            parameters = {
                key.strip().lower(): value.strip() for key, _, value in (each.partition("=") for each in rest)
            }
            named.append(_Limit(_count(parameters.get("r", "")), parameters.get("t", "")))
    if dictionary:
        named.append(_Limit(_count(dictionary.get("remaining", "")), dictionary.get("reset", "")))
    return named


def _count(text: str) -> int | None:
    text = text.strip()
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
