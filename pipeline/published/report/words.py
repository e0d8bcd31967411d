"""Formats of numbers, instants and unknown values in the report. Money stays Decimal to the last step."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from html import escape
from typing import Any, Final

from markupsafe import Markup

from pipeline.support import wording
from pipeline.support.svg import minus
from pipeline.support.wording import count

NOT_KNOWN: Final = "not known"
NOT_CONVERTED: Final = "not converted"

EVIDENCE: Final = {
    "ledger": "itemised in the vendor's ledger",
    "usage": "itemised by usage day",
    "balance": "balances alone: spend is a lower bound",
}


def money(amount: Decimal | None) -> str:
    """An amount, with a minus sign instead of a hyphen."""
    return NOT_KNOWN if amount is None else minus(wording.amount(amount))


def converted(amount: Decimal | None) -> str:
    """An amount in the reporting currency, or the statement that there is no price or rate for it."""
    return NOT_CONVERTED if amount is None else money(amount)


def in_unit(amount: Decimal | None, unit_code: str) -> str:
    """An amount and its unit."""
    return NOT_KNOWN if amount is None else f"{money(amount)} {unit_code}"


def percent(share: float | None) -> str:
    """A share from 0 to 1; never 0 or 100 % for something possible or uncertain."""
    return NOT_KNOWN if share is None else wording.percent(share)


def chance(probability: float | None) -> str:
    """A probability from sample paths, which is never 0 or 100 %."""
    return NOT_KNOWN if probability is None else wording.chance(probability)


def days(number: float | None) -> str:
    """Whole days."""
    return NOT_KNOWN if number is None else wording.whole_days(number)


def ratio(number: float | None) -> str:
    """A ratio or score to two decimals; empty if there is none."""
    return "\N{EN DASH}" if number is None else f"{number:.2f}"


def day(moment: date | None) -> str:
    """A UTC day."""
    return "\N{EN DASH}" if moment is None else moment.isoformat()


def instant(moment: datetime | None) -> str:
    """A UTC instant to the minute."""
    return NOT_KNOWN if moment is None else wording.instant(moment)


def month(moment: date) -> str:
    """A month."""
    return f"{moment:%Y-%m}"


def verbatim(text: str) -> Markup:
    """A query within an element: its quotation marks, of which it has many, need no escape there."""
    return Markup(escape(text, quote=False))  # noqa: S704 - escaped


FILTERS: Final[dict[str, Any]] = {
    "money": money, "in_unit": in_unit, "percent": percent, "days": days, "ratio": ratio, "day": day,
    "instant": instant, "month": month, "count": count, "verbatim": verbatim,
}  # fmt: skip
"""Formats, as templates name them."""
