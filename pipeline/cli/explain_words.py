"""Amounts, dates and codes of `drawdown explain` as text."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from pipeline.cli.explain import Row
from pipeline.support.wording import exact_amount

INDENT: Final = "  "


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
