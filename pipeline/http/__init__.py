"""The one HTTP client: GET only, to one origin an account, with a result for everything that can go wrong."""

from pipeline.http._address import check_base_url, join_link, page_key
from pipeline.http._answer import HttpOutcome, HttpResult, Refusal
from pipeline.http._client import Client, Network
from pipeline.http._limits import RateLimit, RateLimits, scope_value
from pipeline.http._waits import Patience

__all__ = [
    "Client",
    "HttpOutcome",
    "HttpResult",
    "Network",
    "Patience",
    "RateLimit",
    "RateLimits",
    "Refusal",
    "check_base_url",
    "join_link",
    "page_key",
    "scope_value",
]
