"""What one GET came to: a value, never an exception."""

import enum
import re
from dataclasses import dataclass, field
from datetime import datetime

_READ_BYTES = 64 * 1024
_REMEDY = re.compile(r"(?:[^{}]|\{variables\}|\{setting\})*")


class HttpOutcome(enum.StrEnum):
    """How one GET ended. Only `ok` carries a payload."""

    ok = "ok"
    """A 2xx answer whose body is JSON, or for a client that does not read JSON, any 2xx answer."""
    unauthorised = "unauthorised"
    """401: the vendor does not know the key."""
    forbidden = "forbidden"
    """403: the vendor knows the key and refuses access."""
    not_found = "not_found"
    """404."""
    unprocessable = "unprocessable"
    """422: the vendor does not accept the query."""
    client_error = "client_error"
    """Any other status outside 2xx, 3xx and 5xx."""
    rate_limited = "rate_limited"
    """429 on every attempt, or no room in our own limit before the deadline."""
    server_error = "server_error"
    """5xx on every attempt."""
    redirect = "redirect"
    """3xx; redirects are never followed, because the key would be sent along."""
    foreign_origin = "foreign_origin"
    """A link to another scheme, host or port, or an unreadable one; nothing was sent."""
    unreadable = "unreadable"
    """A local file, used instead of an API, that cannot be read or is no CSV; or a 2xx answer that is no list of
    exchange rates. Never set by one GET."""
    pagination = "pagination"
    """A listing that is cyclic, endless, too long for one run, or has an unusable link; set by the walk, never by one
    GET."""
    timeout = "timeout"
    """No connection or answer in time, in every attempt."""
    deadline = "deadline"
    """The complete GET, waits and retries included, ran out of time."""
    connection = "connection"
    """No connection, a reset, or an answer that broke off."""
    tls = "tls"
    """The server's certificate or TLS cannot be trusted."""
    not_json = "not_json"
    """2xx without JSON: empty, HTML, or a truncated document."""
    bad_encoding = "bad_encoding"
    """Broken compression of the body, or one that was not requested."""
    too_large = "too_large"
    """The body exceeded the cap on bytes or on values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A refusal (4xx) that a vendor documents beyond the general meaning of its status, and what helps.

    Only the declared texts get into a reason: the answer's own never do.

    Errors: `ValueError` for a status that is no refusal, or is retried (408, 429), and for a remedy with other braces.
    """

    status_code: int
    says: str = ""
    """Text that the body contains, in any letter case; empty: any body."""
    outcome: HttpOutcome | None = None
    """What it means; None: what its status means."""
    remedy: str
    """What helps, as the end of a sentence. `{variables}` becomes the names of the key's environment variables."""

    def __post_init__(self) -> None:
        if not 400 <= self.status_code < 500 or self.status_code in (408, 429):
            raise ValueError(f"{self.status_code} is not a refusal that a vendor can declare")
        if not _REMEDY.fullmatch(self.remedy):
            raise ValueError("remedy: only {variables} and {setting} may be in braces")

    def matches(self, status_code: int, body: bytes) -> bool:
        """Whether an answer is this refusal; only the beginning of its body is read."""
        return status_code == self.status_code and self.says.lower().encode() in body[:_READ_BYTES].lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResult:
    """Final result of one GET, after all retries. It contains no secret.

    Bodies of other statuses than 200 are kept, so that they can be landed. Body and payload are excluded from the repr,
    which would otherwise put megabytes into a log.
    """

    url: str
    """The requested URL, with its query."""
    outcome: HttpOutcome
    reason: str
    """One sentence: who, where, what happened, what to do."""
    status_code: int | None = None
    """Of the last answer; None without an answer."""
    content_type: str | None = None
    body: bytes = field(default=b"", repr=False)
    """The last body, decompressed and otherwise unchanged except for redaction; the part that arrived if it broke off;
    its first 64 KiB if it was too large; empty if its compression is unknown."""
    is_redacted: bool = False
    """The vendor echoed a secret, which was replaced in `body`."""
    payload: object = field(default=None, repr=False)
    """The decoded JSON when ok, with exact numbers (see `pipeline.support.exact_json`); None if it is not, and for a
    client that does not read JSON."""
    attempt_count: int = 0
    """Requests sent, the first included."""
    elapsed_seconds: float = 0.0
    """Of the whole GET, waits included."""
    rate_limit_remaining: int | None = None
    """Requests left, as stated in X-RateLimit-Remaining or a similar header."""
    date: datetime | None = None
    """The server's clock (Date header), in UTC."""
    age_seconds: float = 0.0
    """Time that the answer spent in caches (Age header); the server's clock is later than `date` by it."""
