"""Common parts of the four simulated APIs: routes, authentication, and errors in each vendor's format."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from pipeline.sandbox.encoding import Tree
from pipeline.sandbox.world import Account

A = TypeVar("A", bound=Account)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Invented secrets of one account; `client_id` is set only if the vendor needs two."""

    key: str
    client_id: str = ""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A GET as the endpoints see it: `url` is absolute and without its query."""

    path: str
    url: str
    query: Mapping[str, str]
    now: datetime


@dataclass(slots=True)
class ApiResponse:
    """A response before it is encoded."""

    status: int
    body: Tree
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[A, ApiRequest], ApiResponse]


class Api(ABC, Generic[A]):
    """One vendor. Every answer is computed from an account's event history up to the request's `now`."""

    vendor: str
    prefix: str
    """The path of the base URL, to which documented paths are appended."""

    def __init__(self, accounts: Mapping[str, A], credentials: Mapping[str, Credentials]) -> None:
        self.accounts = accounts
        self.credentials = credentials

    @abstractmethod
    def routes(self) -> Mapping[str, Handler[A]]:
        """Return the handlers by documented path."""

    @abstractmethod
    def presented(self, headers: Mapping[str, str], query: Mapping[str, str] | None = None) -> Credentials | None:
        """Return the credentials of a request, or None if they do not follow the vendor's scheme."""

    @abstractmethod
    def error(self, status: int, message: str) -> ApiResponse:
        """Return an error in the vendor's documented or assumed body."""

    @abstractmethod
    def unauthorized(self, headers: Mapping[str, str]) -> ApiResponse:
        """Return the answer to missing or unknown credentials."""

    def rate_limit_headers(self, recent: Sequence[float]) -> dict[str, str]:  # noqa: ARG002 - most have none
        """Return the headers of every answer; `recent` are the epoch seconds of the account's requests."""
        return {}

    def identify(self, headers: Mapping[str, str], now: datetime, query: Mapping[str, str] | None = None) -> A | None:
        """Return the account that a request's credentials belong to, if it is open yet."""
        presented = self.presented(headers, query)
        if presented is None:
            return None
        for account_id, account in self.accounts.items():
            if self.credentials[account_id] == presented and account.opened_at <= now:
                return account
        return None

    def answer(self, method: str, account: A | None, headers: Mapping[str, str], request: ApiRequest) -> ApiResponse:
        """Return the vendor's answer without any fault."""
        handler = self.routes().get(request.path)
        if handler is None:
            return self.error(404, "Not Found")
        if method != "GET":
            refused = self.error(405, f"The {method} method is not supported for this route.")
            refused.headers["Allow"] = "GET"
            return refused
        if account is None:
            return self.unauthorized(headers)
        return handler(account, request)


def bearer(headers: Mapping[str, str]) -> Credentials | None:
    """Return the token of `Authorization: Bearer KEY`."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return Credentials(key) if scheme.lower() == "bearer" and key else None


def page_of(rows: Iterable[Tree], page: int, per_page: int) -> list[Tree]:
    """Return one page, counted from 1; a page past the end is empty."""
    return list(rows)[(page - 1) * per_page : page * per_page]


def whole(text: str | None, default: int) -> int | None:
    """Return a positive whole number from a query parameter; the default if absent, None if it is invalid."""
    if text is None or text == "":
        return default
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 10**9 else None
