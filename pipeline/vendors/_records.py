"""What a vendor's answers mean: the fields of a row, and the kinds of record that rows become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal


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
