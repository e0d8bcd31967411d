"""The port: what a vendor must supply, and its vocabulary.

A vendor is a folder here with `VENDOR = Vendor(...)` in its `__init__.py`. It declares where its answers are
(`Endpoint` and a listing: `Once`, `Pages` or `Window`) and what they mean (`Records` made of fields). It has no loop
and no state: fetching belongs to `pipeline.landing`, reading to `pipeline.staging`, and everything after them only
knows kinds of records.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, Literal

from pipeline.http import HttpOutcome, RateLimit, Refusal
from pipeline.support.json_paths import JsonPath, dig
from pipeline.vendors._records import (
    Field,
    Reads,
    Records,
    any_unit,
    choice,
    date,
    dollars,
    flag,
    instant,
    instant_utc,
    money,
    number,
    text,
    unit,
)

__all__ = [
    "PLACEHOLDER",
    "SUCCEEDED",
    "Auth",
    "AuthBasic",
    "AuthHeader",
    "AuthQuery",
    "Endpoint",
    "Field",
    "Listing",
    "Once",
    "Pages",
    "Permissions",
    "Reads",
    "Records",
    "Service",
    "Vendor",
    "Window",
    "addressed",
    "any_unit",
    "choice",
    "date",
    "dollars",
    "flag",
    "instant",
    "instant_utc",
    "money",
    "number",
    "text",
    "unit",
]

SUCCEEDED: Final = frozenset({"true", "1", "yes", "ok", "success", "successful", "succeeded"})
"""Words for yes in a flag or a status; anything else does not mean yes."""
PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
"""A setting of the account in an endpoint's path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """A listing in one GET."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """A listing that is read page by page."""

    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    """Sent with the first request. Later requests keep what the `next` link sets and, if it drops them, these, except
    `page_param`."""
    page_param: str = "page"
    """The one of `params` with the page number or cursor: only the page before determines it."""
    next_is: Literal["link", "cursor", "number"] = "link"
    """How a page leads to the next one: by a link at `next_at`; by a cursor there, which `page_param` carries; or by
    its number, from 1, until a page has no rows or the listing's count is reached."""
    rows_at: str = "data"
    """Dotted path to the rows: a list, or an object with numeric keys, as some frameworks filter lists."""
    next_at: str = "links.next"
    meta_at: str = "meta"
    """Dotted path to the listing's own length, if stated: `current_page`, `last_page` and `total`, numbers or texts. It
    only serves to distinguish a last page that links to an earlier one from a cyclic listing."""
    newest_first_by: str | None
    """Timestamp of a row. Once a complete walk has shown it in descending order, later walks stop at `look_back_days`;
    until then every walk reads all pages. None: every walk does, because an item's disappearance is news as well."""
    look_back_days: int = 0
    page_cap: int = 20_000
    """Number of pages, over all runs of a walk, after which it is abandoned as endless. The share of one run is in
    `pipeline.landing.budget.Budget`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A listing by days, first and last day included."""

    path: str
    from_param: str
    to_param: str
    bounds: Literal["days", "instants"] = "days"
    """Format of the requested days: `days` sends the first and the last one, `YYYY-MM-DD`; `instants` sends the
    half-open window of their midnights in UTC, `YYYY-MM-DDTHH:MM:SS`, which ends with the midnight after the last day.
    """
    params: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request as well."""
    look_back_days: int
    """Days before the last good answer that are requested again, for restatements."""
    daily_look_back_days: int = 0
    """The same for the first walk of each UTC day, if restatements may reach further back than is worth requesting
    every hour."""
    chunk_days: int
    """Maximum number of days in one request."""
    history_days: int | None = None
    """Maximum number of days of a first walk, if the account's `history_days` would take too many requests."""
    page_param: str | None = None
    """If a window has pages: the query parameter of the page number, from 1."""
    page_count_at: str = ""
    """Dotted path to the number of pages."""
    page_cap: int = 1_000
    """Number of pages of one window after which the walk is abandoned as endless."""


Listing = Once | Pages | Window


def addressed(listing: Listing, placeholders: Mapping[str, str]) -> Listing:
    """Return a listing with the account's values in its path, for `{key}`; KeyError for a key without a value."""
    if "{" not in listing.path:
        return listing
    return replace(listing, path=PLACEHOLDER.sub(lambda key: placeholders[key[1]], listing.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One of a vendor's endpoints."""

    name: str
    listing: Listing
    records: tuple[Records, ...]
    doc: str
    """Its contents, and where they are documented."""
    body: Literal["json", "csv"] = "json"
    """Format of an answer's body; CSV rows are read as objects of texts."""
    envelope: tuple[str, ...] = ()
    """Known keys around the rows; empty if the body is the row."""
    success_at: str = ""
    """Dotted path to a flag in the body. If it is present and not true, the answer states its own failure: no row of it
    is accepted, whatever the HTTP status. Empty if the vendor documents no such flag, or one that is false beside good
    data."""
    success_words: frozenset[str] = SUCCEEDED
    """Values of the flag at `success_at` that mean success, as texts in lower case."""
    redacted: tuple[JsonPath, ...] = ()
    """Places of a body that hold keys or personal data: they are replaced before the body is landed."""
    refresh: Literal["hourly", "daily"] = "daily"
    is_optional: bool = False
    """Whether a key may lack the right to it, or the vendor the address: 403 and 404 then mean that this evidence is
    absent for the account. That is landed and reported once, and the run does not fail. Any other failure fails it."""
    is_extra: bool = False
    """Whether balances and spend do not need it: until it has answered for an account once, none of its failures fails
    the run."""

    @property
    def absent_outcomes(self) -> tuple[HttpOutcome, ...]:
        """Outcomes that mean that this evidence is absent, and not that the request failed."""
        return (HttpOutcome.forbidden, HttpOutcome.not_found) if self.is_optional else ()

    def says_it_failed(self, payload: object) -> bool:
        """Whether a decoded body states its own failure; one without the flag does not."""
        above, _, key = self.success_at.rpartition(".")
        holder = dig(payload, above)
        if not key or not isinstance(holder, dict) or key not in holder:
            return False
        return str(holder[key]).strip().lower() not in self.success_words


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthHeader:
    """A request header with a secret."""

    name: str
    setting: str
    """accounts.toml key that names the secret's environment variable, such as `api_key_env`."""
    prefix: str = ""

    @property
    def secret_settings(self) -> tuple[str, ...]:
        """accounts.toml keys that name variables with secrets."""
        return (self.setting,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthQuery:
    """A query parameter with a secret. It is added as a request is sent, and never landed, logged or shown."""

    name: str
    setting: str

    @property
    def secret_settings(self) -> tuple[str, ...]:
        """accounts.toml keys that name variables with secrets."""
        return (self.setting,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthBasic:
    """HTTP Basic authentication."""

    user: str
    """accounts.toml key of the user name: a secret if it ends in `_env`, otherwise one of `Vendor.placeholders`."""
    password: str
    """accounts.toml key that names the password's environment variable."""

    @property
    def secret_settings(self) -> tuple[str, ...]:
        """accounts.toml keys that name variables with secrets."""
        return tuple(each for each in (self.user, self.password) if each.endswith("_env"))


Auth = AuthHeader | AuthQuery | AuthBasic


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Where the vendor lists the permissions of a key; only `drawdown doctor` requests it, never a run."""

    path: str
    """Path of one GET that returns the complete list."""
    at: str
    """The key of the list in the answer."""
    name: str
    """The key of a permission's name in its row."""
    reads: str
    """Regular expression; a permission whose complete name matches only reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The vendor's service in the terms of FOCUS (docs/focus.md)."""

    name: str | None = None
    """Name of the service; None: the vendor's name."""
    category: str = "Other"
    subcategory: str = "Other (Other)"
    """One of those that FOCUS lists for the category."""
    virtual_currency: str | None = None
    """The vendor's name for its unit of account, in the plural; None: its unit_code is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Declaration of a vendor."""

    name: str
    title: str
    base_url: str | None
    """The documented address, to which the endpoints' paths are appended; None: the answer is a local file, which the
    account's `path` names."""
    auth: tuple[Auth, ...]
    rate_limit: RateLimit
    endpoints: tuple[Endpoint, ...]
    assumptions: tuple[str, ...]
    """Assumptions about the API, and how a wrong one shows; printed in the documentation."""
    billing_url: str | None = None
    """Public address of the page on which a balance is topped up, as documented by the vendor; named in top-up advice.
    None: it is not known."""
    sells_quota_additions: bool = False
    """Whether something can be ordered in addition to a balance that states `resets_at_utc`. If not, no top-up is
    advised for it."""
    unit_code: str | None = None
    """Unit of account if the answers name none; None: the owner must set it."""
    usage_prices: Mapping[str, str] = field(default_factory=dict)
    """Prices of its price list in `unit_code`, by what is counted, in lower case and plural: `drawdown afford` accepts
    these as units of an amount."""
    tax_basis: Literal["gross", "net", "unknown"] = "unknown"
    money_is_float: bool = False
    """Whether its amounts are floats with digits beyond nine decimals: they are rounded half-even instead of rejected.
    """
    stale_after: timedelta = timedelta(hours=26)
    """Age from which a reading is stale. Vendors are requested hourly, at least daily."""
    settings: tuple[str, ...] = ()
    """Optional accounts.toml keys of this vendor, beyond those of every account."""
    placeholders: Mapping[str, str] = field(default_factory=dict)
    """Required accounts.toml keys whose values replace `{key}` in the endpoints' paths, and what they are."""
    source: str | None = None
    """Address of the public page or repository that documents the API."""
    reading_hash: str = ""
    """Of a declared vendor: changes with what is read from its landed answers, which are then read again."""
    service: Service = Service()
    permissions: Permissions | None = None
    refusals: tuple[Refusal, ...] = ()
    """Refusals with a documented meaning or remedy of their own; of several that match an answer, the first counts."""

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint with that name; KeyError if there is none."""
        for candidate in self.endpoints:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

    @property
    def balance_endpoint(self) -> Endpoint:
        """The endpoint with the balance; for a vendor without one, its first endpoint."""
        stating = (each for each in self.endpoints if any(records.kind == "balances" for records in each.records))
        return next(stating, self.endpoints[0])

    @property
    def secret_settings(self) -> tuple[str, ...]:
        """accounts.toml keys that name variables with secrets, each once."""
        return tuple(dict.fromkeys(setting for each in self.auth for setting in each.secret_settings))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of records that its endpoints yield, each once."""
        return tuple(dict.fromkeys(records.kind for made in self.endpoints for records in made.records))
