"""The port: what a vendor must supply, and the words it is said in.

A vendor is a folder here with `VENDOR = Vendor(...)` in its `__init__.py`. It declares where its answers are
(`Endpoint` and a listing: `Once`, `Pages` or `Window`) and what they mean (`Records` made of fields). It runs no
loop and holds no state: fetching belongs to `pipeline.landing`, reading to `pipeline.staging`, and everything
after them knows record kinds only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pipeline.http import HttpOutcome, RateLimit
from pipeline.support.json_paths import dig

# How a flag or a status says yes; whatever else is there does not say it.
_SUCCEEDED = frozenset({"true", "1", "yes", "ok", "success", "successful", "succeeded"})


class Reads(StrEnum):
    """How a field's JSON value is read."""

    TEXT = "text"
    MONEY = "money"
    """A JSON number or a plain decimal string, exactly: up to 9 decimals, and no further from zero than
    `MOST_AMOUNT`."""
    DOLLARS = "dollars"
    """Money that may carry a leading `$` and well-formed thousands groups, as in `$1,234.50`."""
    NUMBER = "number"
    """A measure that need not be exact, no further from zero than `MOST_AMOUNT`."""
    INSTANT = "instant"
    """ISO 8601 with `Z` or an offset, or seconds (10 digits) or milliseconds (13) since 1970; a naive one is
    refused."""
    INSTANT_UTC = "instant_utc"
    """The same; without an offset it is UTC, and a bare day is its midnight."""
    DATE = "date"
    """`YYYY-MM-DD`."""
    UNIT = "unit"
    """A currency code, in any letter case and with blanks around it; it becomes capitals."""
    ANY_UNIT = "any_unit"
    """The same, or a vendor's unit such as `voxpria-credit`, which is spelled as it is."""
    CHOICE = "choice"
    """A vendor's word, translated by a table."""
    FLAG = "flag"
    """`true` or `false`, also as 1 or 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One column of a record, and where the vendor's answer holds it."""

    column: str
    sources: tuple[str, ...]
    """Dotted paths into the row; the first is the documented one, the others are spellings seen or feared. A value
    found under another than the first is recorded as drift."""
    reads: Reads
    is_required: bool = False
    """A row without it is rejected."""
    is_decisive: bool = False
    """A row in which it cannot be read is rejected, though one without it is not: NULL would say something else of
    the money. Units, words and flags always are; any other field that cannot be read is NULL, and noted as drift."""
    is_documented: bool = True
    """Its absence is worth a drift row. False for what is assumed to be there sometimes."""
    choices: Mapping[str, str] = field(default_factory=dict)
    otherwise: str | None = None
    """For a choice: what an unlisted word becomes; None rejects it."""
    absent: str | None = None
    """For a choice: what an absent word becomes; None leaves it NULL."""
    compute: Callable[[Mapping[str, object]], object] | None = None
    """For a value that is not one place in the row: gets the row, returns what would have stood there."""

    @property
    def costs_its_row(self) -> bool:
        """Whether a value that cannot be read rejects the row, and not only itself."""
        always = (Reads.UNIT, Reads.ANY_UNIT, Reads.CHOICE, Reads.FLAG)
        return self.is_required or self.is_decisive or self.reads in always


def _field(reads: Reads) -> Callable[..., Field]:
    def make(
        column: str,
        *sources: str,
        required: bool = False,
        decisive: bool = False,
        documented: bool = True,
        compute: Callable[[Mapping[str, object]], object] | None = None,
    ) -> Field:
        return Field(
            column=column,
            sources=sources,
            reads=reads,
            is_required=required,
            is_decisive=decisive,
            is_documented=documented,
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
    """A vendor's word translated by `choices`; an unlisted one becomes `otherwise`.

    Words are compared in lower case and without the blanks around them.
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
    ]
    at: str = ""
    """Dotted path to the rows: a list of objects, or one object; empty for the whole body."""
    fields: tuple[Field, ...]
    constants: Mapping[str, str] = field(default_factory=dict)
    """Columns that are the same in every row, such as `claim`."""
    ignored: tuple[str, ...] = ()
    """Documented keys of a row that no column needs; naming them keeps them out of the drift."""
    foreign: tuple[str, ...] = ()
    """Keys that only the rows of another listing have; a row with one of them is rejected."""
    keeps_extra: bool = False
    """Keep the row's other keys as JSON in `extra_json`, too; they are called drift all the same."""
    parts_add_up: bool = False
    """Several rows of one answer with one key are parts of one fact: their amounts and numbers are added up. Where
    False, such rows must say the same; if not, all of them are rejected."""
    is_optional: bool = False
    """The rows may be absent from an answer, or lack their value, without that being a fault."""
    covers_window: bool = False
    """For claims: it speaks of the window that was asked for."""
    covers_next_days: int | None = None
    """For claims: it speaks of this many days from the day of the answer on."""
    covers_day_before: bool = False
    """For claims: it speaks of the UTC day before the answer."""
    is_of_window: bool = False
    """For days: a row does not name its day; it is the one that was asked for. Needs windows of one day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """One GET tells everything."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """A listing that is walked page by page along its `next` link."""

    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    """Sent with the first request. A `next` link is followed with what it sets itself and, where it drops them, with
    these, `page_param` excepted."""
    page_param: str = "page"
    """The one of `params` that says which page is wanted: a `next` link alone decides that."""
    rows_at: str = "data"
    """Dotted path to the rows: a list, or an object whose keys are numbers, as some frameworks filter lists."""
    next_at: str = "links.next"
    meta_at: str = "meta"
    """Dotted path to where the listing may say how long it is: `current_page`, `last_page` and `total`, numbers or
    texts. It decides nothing by itself: it tells a last page that links to an earlier one from a cyclic listing."""
    newest_first_by: str | None
    """The row's timestamp. Once a whole walk has shown it to fall from row to row, later walks stop at
    `look_back_days`; until then every walk reads all pages. None: every walk does, because what a listing no longer
    names is news, too."""
    look_back_days: int = 0
    page_cap: int = 20_000
    """Pages, over all runs that a walk takes, after which it is given up as endless. How much of it one run walks is
    in `pipeline.landing.listing_walk.Budget`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A listing by days, first and last day included."""

    path: str
    from_param: str
    to_param: str
    bounds: Literal["days", "instants"] = "days"
    """How the days are asked for: `days` sends the first and the last one, `YYYY-MM-DD`; `instants` sends the half-open
    window of their midnights in UTC, `YYYY-MM-DDTHH:MM:SS`, which ends with the midnight after the last day."""
    params: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request, too."""
    look_back_days: int
    """Days before the last good answer that are asked for again, for restatements."""
    daily_look_back_days: int = 0
    """The same for the first walk of each UTC day, where a restatement may reach further back than it is worth asking
    for every hour."""
    chunk_days: int
    """The most days asked for in one request."""
    history_days: int | None = None
    """The most days that a first walk looks back, where the account's `history_days` would take too many requests."""
    page_param: str | None = None
    """Where a window comes in pages: the query parameter of a page's number, from 1."""
    page_count_at: str = ""
    """Dotted path to the number of pages."""
    page_cap: int = 1_000
    """Pages of one window after which the walk is given up as endless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One of a vendor's endpoints."""

    name: str
    listing: Once | Pages | Window
    records: tuple[Records, ...]
    doc: str
    """What it tells and where that is documented."""
    body: Literal["json", "csv"] = "json"
    """What an answer's body is; CSV rows are read as objects of texts."""
    envelope: tuple[str, ...] = ()
    """The known keys around the rows; empty where the body is the row."""
    success_at: str = ""
    """Dotted path to a flag in the body. An answer in which it is there, and is not true, says of itself that it
    failed: no row of it is accepted, whatever the HTTP status was. Empty where the vendor documents no such flag, or
    one that is false beside good data."""
    refresh: Literal["hourly", "daily"] = "daily"
    is_optional: bool = False
    """A key may have no right to it, or the vendor no such address: 403 and 404 then mean that this evidence is absent
    for the account. It is landed and reported once, and the run does not fail. Any other failure is one."""
    is_extra: bool = False
    """Beyond what balances and spend need: until it has answered an account once, no failure of it is one. What has
    never been there is not missed."""

    @property
    def absent_outcomes(self) -> tuple[HttpOutcome, ...]:
        """The outcomes that say that this evidence is absent, and not that asking for it failed."""
        return (HttpOutcome.forbidden, HttpOutcome.not_found) if self.is_optional else ()

    def says_it_failed(self, payload: object) -> bool:
        """Whether a decoded body says of itself that it failed; one without the flag does not."""
        above, _, key = self.success_at.rpartition(".")
        holder = dig(payload, above)
        if not key or not isinstance(holder, dict) or key not in holder:
            return False
        return str(holder[key]).strip().lower() not in _SUCCEEDED


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthHeader:
    """A request header that carries a secret."""

    name: str
    setting: str
    """The accounts.toml key that names the secret's environment variable, such as `api_key_env`."""
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Where the vendor tells what a key may do; `drawdown doctor` asks, a run never does."""

    path: str
    """One GET tells all of it."""
    at: str
    """The key of the list in the answer."""
    name: str
    """The key of a permission's name in its row."""
    reads: str
    """A regular expression; a permission whose whole name it matches only reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the vendor sells, in the terms of FOCUS (docs/focus.md)."""

    name: str | None = None
    """What it is called; None: as the vendor is."""
    category: str = "Other"
    subcategory: str = "Other (Other)"
    """One of those that FOCUS lists for the category."""
    virtual_currency: str | None = None
    """What the vendor calls its own unit of account, in the plural; None: its unit_code is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """All that Drawdown knows of a vendor."""

    name: str
    title: str
    base_url: str | None
    """The documented address, to which the endpoints' paths are appended; None: the answer is a file on this
    machine, which the account's `path` names."""
    auth: tuple[AuthHeader, ...]
    rate_limit: RateLimit
    endpoints: tuple[Endpoint, ...]
    assumptions: tuple[str, ...]
    """What is assumed about the API and how it shows when that breaks; printed in the documentation."""
    unit_code: str | None = None
    """The unit of account where the answers name none; None: the owner must say."""
    tax_basis: Literal["gross", "net", "unknown"] = "unknown"
    money_is_float: bool = False
    """Its amounts are floats with digits beyond nine decimals: they are rounded half-even instead of rejected."""
    stale_after: timedelta = timedelta(hours=26)
    """The age at which a reading no longer tells the present. Vendors are asked hourly, at the least daily."""
    settings: tuple[str, ...] = ()
    """Optional accounts.toml keys that this vendor understands beyond those of every account."""
    service: Service = Service()
    permissions: Permissions | None = None

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint of that name; KeyError where there is none."""
        for candidate in self.endpoints:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of record that its endpoints yield, each once."""
        return tuple(dict.fromkeys(records.kind for made in self.endpoints for records in made.records))
