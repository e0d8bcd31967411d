"""Amounts, dates and codes of `drawdown explain` as text."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from pipeline.cli.explain import Row
from pipeline.support.wording import exact_amount

INDENT: Final = "  "
UNEXPLAINED_CLASSES: Final = {
    "missing_entry": "an entry seems to be missing",
    "amount_mismatch": "there is an entry, but the balance moved by another amount",
    "duplicate_entry": "an entry seems to be booked twice",
    "tax": "it is the tax of an entry",
    "unit_price": "usage was billed at a price other than stated",
    "pending_deposit": "it is what unconfirmed deposits changed by",
    "restated": "the vendor changed figures that it had stated",
    "boundary": "it was booked in one interval and moved the balance in the next",
    "rounding": "it is smaller than the last digit that the vendor states",
    "unit_change": "the unit of the balance changed in between",
    "unknown": "no known cause matches it",
}


def money(row: Row, name: str) -> str:
    """Return the amount of a column with its unit, to the last digit."""
    return exact_amount(row[name], row["unit_code"])


def at(instant: datetime) -> str:
    """Return an instant to the minute; it is UTC."""
    return f"{instant:%Y-%m-%d %H:%M}"


def balance(status: Row) -> str:
    """Return the newest balance of an account, to the last digit."""
    return "no balance is known" if status["balance_amount"] is None else money(status, "balance_amount")


def cut(text: str, width: int) -> str:
    """Shorten a text to `width` columns, at least 12."""
    most = max(width, 12)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def span(first: date, last: date) -> str:
    """Return a range of days, or the one day."""
    return f"{first}" if first == last else f"{first} to {last}"
