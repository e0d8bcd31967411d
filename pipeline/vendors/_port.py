"""The port: what a vendor must supply, and its vocabulary.

A vendor is a folder here with `VENDOR = Vendor(...)` in its `__init__.py`. It declares where its answers are
(`Endpoint` and a listing: `Once`, `Pages` or `Window`) and what they mean (`Records` made of fields). It has no loop
and no state: fetching belongs to `pipeline.landing`, reading to `pipeline.staging`, and everything after them only
knows kinds of records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal

from pipeline.http import HttpOutcome, RateLimit, Refusal
from pipeline.support.json_paths import JsonPath, dig

SUCCEEDED: Final = frozenset({"true", "1", "yes", "ok", "success", "successful", "succeeded"})
"""Words for yes in a flag or a status; anything else does not mean yes."""
PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
"""A setting of the account in an endpoint's path."""


class Reads(StrEnum):
    """How a field's JSON value is read."""

    TEXT = "text"
    MONEY = "money"
    """A JSON number or a plain decimal string, exact: up to 9 decimals, with an absolute value of at most
    `MOST_AMOUNT`."""
    DOLLARS = "dollars"
    """Money that may have a leading `$` and well-formed thousands groups, as in `$1,234.50`."""
    NUMBER = "number"
    """A measure that need not be exact, with an absolute value of at most `MOST_AMOUNT`."""
    INSTANT = "instant"
    """ISO 8601 with `Z` or an offset, or seconds (10 digits) or milliseconds (13) since 1970; a naive one is
    refused."""
    INSTANT_UTC = "instant_utc"
    """The same; without an offset it is UTC, and a bare day is its midnight."""
    DATE = "date"
    """`YYYY-MM-DD`."""
    UNIT = "unit"
    """A currency code, in any letter case and with surrounding blanks; it becomes capitals."""
    ANY_UNIT = "any_unit"
    """The same, or a vendor's unit such as `voxpria-credit`, which is kept as it is."""
    CHOICE = "choice"
    """A vendor's word, translated by a table."""
    FLAG = "flag"
    """`true` or `false`, also as 1 or 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of a record, and its place in the vendor's answer."""

    column: str
    sources: tuple[str, ...]
    """Dotted paths into the row; the first is the documented one, the others are alternatives, seen or expected. A
    value found under any but the first is recorded as drift."""
    reads: Reads
    is_required: bool = False
    """A row without it is rejected."""
    is_decisive: bool = False
    """If it is present but unreadable, its row is rejected, although a row without it is not: NULL would change the
    meaning of the money. This always applies to units, choices and flags; any other unreadable field becomes NULL, and
    is recorded as drift."""
    is_documented: bool = True
    """Whether its absence is recorded as drift. False for a field that is assumed to be present only sometimes."""
    choices: Mapping[str, str] = field(default_factory=dict)
    otherwise: str | None = None
    """For a choice: result for an unlisted word; None rejects it."""
    absent: str | None = None
    """For a choice: result for an absent word; None leaves it NULL."""
    minor_digits: int = 0
    """For money in a fraction of its unit, such as 2 for cents: the value is divided by 10 to this power, exactly."""
    compute: Callable[[Mapping[str, object]], object] | None = None
    """For a value that is not in one place of the row: gets the row, returns the raw value. In a row of JSON, a number
    without a fraction or an exponent is an int, any other number its text."""
    expression: str = ""
    """For a computed value: what it is computed from, for the documentation; empty: `sources` tells it."""

    @property
    def costs_its_row(self) -> bool:
        """Whether an unreadable value rejects its row, and not only itself."""
        always = (Reads.UNIT, Reads.ANY_UNIT, Reads.CHOICE, Reads.FLAG)
        return self.is_required or self.is_decisive or self.reads in always


def _field(reads: Reads) -> Callable[..., Field]:
    def make(
        column: str,
        *sources: str,
        required: bool = False,
        decisive: bool = False,
        documented: bool = True,
        minor_digits: int = 0,
        compute: Callable[[Mapping[str, object]], object] | None = None,
    ) -> Field:
        return Field(
            column=column,
            sources=sources,
            reads=reads,
            is_required=required,
            is_decisive=decisive,
            is_documented=documented,
            minor_digits=minor_digits,
            compute=compute,
        )

    return make


text = _field(Reads.TEXT)
money = _field(Reads.MONEY)
dollars = _field(Reads.DOLLARS)
number = _field(Reads.NUMBER)
instant = _field(Reads.INSTANT)
instant_utc = _field(Reads.INSTANT_UTC)
date = _field(Reads.DATE)
unit = _field(Reads.UNIT)
any_unit = _field(Reads.ANY_UNIT)
flag = _field(Reads.FLAG)


def choice(
    column: str,
    *sources: str,
    choices: Mapping[str, str],
    otherwise: str | None,
    required: bool = False,
    documented: bool = True,
    absent: str | None = None,
) -> Field:
    """Translate a vendor's word by `choices`; an unlisted one becomes `otherwise`.

    Words are compared in lower case and without surrounding blanks.
    """
    return Field(
        column=column,
        sources=sources,
        reads=Reads.CHOICE,
        choices=choices,
        otherwise=otherwise,
        absent=absent,
        is_required=required,
        is_documented=documented,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """How one kind of record is read from an endpoint's answers."""

    kind: Literal[
        "balances",
        "ledger_entries",
        "usage_days",
        "vendor_claims",
        "known_charges",
        "orders",
        "invoices",
        "payments",
        "auto_topups",
        "resource_days",
        "resource_rates",
    ]
    at: str = ""
    """Dotted path to the rows: a list of objects, or one object; empty for the whole body."""
    fields: tuple[Field, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    """Columns that are the same in every row, such as `claim`."""
    ignored: tuple[str, ...] = ()
    """Documented keys of a row that no column needs; listing them excludes them from drift."""
    foreign: tuple[str, ...] = ()
    """Keys that only rows of another listing have; a row with one of them is rejected."""
    keeps_extra: bool = False
    """Whether to keep the row's other keys as JSON in `extra_json`; they are recorded as drift nevertheless."""
    parts_add_up: bool = False
    """Whether several rows of one answer with the same key are parts of one fact, whose amounts and numbers are added
    up. If False, such rows must be equal; otherwise all of them are rejected."""
    is_optional: bool = False
    """Whether the rows may be absent from an answer, or lack their value, without an error."""
    covers_window: bool = False
    """For claims: covers the requested window."""
    covers_next_days: int | None = None
    """For claims: covers this many days, starting with the day of the answer."""
    covers_day_before: bool = False
    """For claims: covers the UTC day before the answer."""
    is_of_window: bool = False
    """For days: a row does not state its day; it is the requested one. Requires windows of one day."""


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
    def secret_settings(self) -> tuple[str, ...]:
        """accounts.toml keys that name variables with secrets, each once."""
        return tuple(dict.fromkeys(setting for each in self.auth for setting in each.secret_settings))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of records that its endpoints yield, each once."""
        return tuple(dict.fromkeys(records.kind for made in self.endpoints for records in made.records))
