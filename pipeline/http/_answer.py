"""What one GET came to: a value, never an exception."""

import enum
from dataclasses import dataclass, field
from datetime import datetime


class HttpOutcome(enum.StrEnum):
    """How one GET ended. Only `ok` carries a payload."""

    ok = "ok"
    """A 2xx answer whose body is JSON."""
    unauthorised = "unauthorised"
    """401: the vendor does not know the key."""
    forbidden = "forbidden"
    """403: the vendor knows the key and refuses it this."""
    not_found = "not_found"
    """404."""
    unprocessable = "unprocessable"
    """422: the vendor does not accept the query."""
    client_error = "client_error"
    """Any other status that is neither 2xx, 3xx nor 5xx."""
    rate_limited = "rate_limited"
    """429 to the last, or our own limit has no room before the deadline."""
    server_error = "server_error"
    """5xx to the last."""
    redirect = "redirect"
    """3xx; redirects are never followed, because the key would travel along."""
    foreign_origin = "foreign_origin"
    """A link to another scheme, host or port, or one that cannot be read; nothing was sent."""
    unreadable = "unreadable"
    """A file in the place of an API that cannot be read or is no CSV."""
    pagination = "pagination"
    """A listing that is cyclic, endless, too long for one run, or links to no link; given by whoever walks it,
    never by one GET."""
    timeout = "timeout"
    """The server did not connect or answer in time, in every attempt."""
    deadline = "deadline"
    """The whole GET, waits and retries included, ran out of time."""
    connection = "connection"
    """No connection, a reset, or an answer that broke off."""
    tls = "tls"
    """The server's certificate, or its TLS, is not to be trusted."""
    not_json = "not_json"
    """2xx without JSON: nothing, HTML, half a document."""
    bad_encoding = "bad_encoding"
    """The body's compression is broken, or one that was not asked for."""
    too_large = "too_large"
    """The body passed the cap on bytes or on values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResult:
    """One GET's final result, after all retries. It holds no secret anywhere.

    A body of another status than 200 is kept as well, so that it can be landed. Body and payload stay out of
    the repr, which would otherwise put megabytes into a log.
    """

    url: str
    """What was asked for, with its query."""
    outcome: HttpOutcome
    reason: str
    """One sentence: who, where, what happened, what to do."""
    status_code: int | None = None
    """The last answer's; None when there was none."""
    content_type: str | None = None
    body: bytes = field(default=b"", repr=False)
    """The last body, decompressed and otherwise unchanged but for redaction; what had arrived of it when it
    broke off; its first 64 KiB when it was too large; nothing when its compression is unknown."""
    is_redacted: bool = False
    """The vendor echoed a secret, which was replaced in `body`."""
    payload: object = field(default=None, repr=False)
    """The decoded JSON when ok, with exact numbers (see `pipeline.support.exact_json`); else None."""
    attempt_count: int = 0
    """Requests sent, the first included."""
    elapsed_seconds: float = 0.0
    """Of the whole GET, waits included."""
    rate_limit_remaining: int | None = None
    """Requests left, as the vendor says in X-RateLimit-Remaining or the like."""
    date: datetime | None = None
    """The server's clock (Date header), in UTC."""
    age_seconds: float = 0.0
    """For how long a cache had kept the answer (Age header), by which the server's clock is later than `date`."""
