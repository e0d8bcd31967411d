"""Amounts, dates and codes of `drawdown explain` as text."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Final

from pipeline.cli.explain import Row

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


def amount(value: Decimal) -> str:
    """Return an amount to its last digit, with at least two decimals."""
    whole, _, digits = f"{value:,.9f}".partition(".")
    return f"{whole}.{digits.rstrip('0').ljust(2, '0')}"


def amounts(values: list[Decimal]) -> list[str]:
    """Return amounts with as many decimals as the longest of them, so that their decimal points are aligned."""
    texts = [amount(value) for value in values]
    digits = max(len(text.partition(".")[2]) for text in texts)
    return [f"{value:,.{digits}f}" for value in values]


def money(row: Row, name: str) -> str:
    """Return the amount of a column with its unit, to the last digit."""
    return f"{amount(row[name])} {row['unit_code']}"


def about(value: Decimal, unit: str) -> str:
    """Return a forecast's amount, of which only two decimals mean anything."""
    return f"{value:,.2f} {unit}"


def at(instant: datetime) -> str:
    """Return an instant to the minute; it is UTC."""
    return f"{instant:%Y-%m-%d %H:%M}"


def per_cent(probability: float) -> str:
    """Return a probability in per cent, never rounded to certainty."""
    if 0 < probability < 0.001:
        return "under 0.1 %"
    if 0.999 < probability < 1:
        return "over 99.9 %"
    return f"{100 * probability:.1f}".removesuffix(".0") + " %"


def balance(status: Row) -> str:
    """Return the newest balance of an account, to the last digit."""
    return "no balance is known" if status["balance_amount"] is None else money(status, "balance_amount")


def count(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def cut(text: str, width: int) -> str:
    """Shorten a text to `width` columns, at least 12."""
    most = max(width, 12)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def span(first: date, last: date) -> str:
    """Return a range of days, or the one day."""
    return f"{first}" if first == last else f"{first} to {last}"
