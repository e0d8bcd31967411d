"""Formats of numbers for people, the same everywhere: status, alerts, explain, report and charts.

Amounts are rounded to what a person pays. Exact digits are in SQL, CSV and JSON, and where the lines of a sum must add
up (`exact_amounts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

_LEAST_CHANCE = 1e-9


def amount(value: Decimal | float, unit_code: str = "") -> str:
    """`1,234.50 EUR`: two decimals; a small amount that would look like zero keeps its digits."""
    text = f"{value:,.2f}"
    if not text.strip("-0."):
        text = text.removeprefix("-")
        if value:
            text = f"{value.normalize():f}" if isinstance(value, Decimal) else f"{value:.2g}"
    return f"{text} {unit_code}" if unit_code else text


def exact_amounts(values: Sequence[Decimal]) -> list[str]:
    """Amounts with as many decimals as the longest of them, at least two, so that their decimal points align."""
    decimals = [len(f"{value:.9f}".partition(".")[2].rstrip("0")) for value in values]
    return [f"{value:,.{max(2, *decimals)}f}" for value in values]


def exact_amount(value: Decimal, unit_code: str = "") -> str:
    """`1,234.500001 EUR`: an amount to its last digit, at least two decimals."""
    (text,) = exact_amounts([value])
    return f"{text} {unit_code}" if unit_code else text


def percent(share: float) -> str:
    """A share from 0 to 1, as precise as a thousand sample paths: `0.4 %`, `42 %`, `over 99.9 %`.

    Only 0 and 1 themselves are 0 % and 100 %.
    """
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    found = 100 * share
    return f"{round(found, 1):g} %" if found < 10 or found > 90 else f"{found:.0f} %"


def exact_percent(share: Decimal | float) -> str:
    """A configured share, such as a tax rate or an accepted risk, to its last digit: `19.6 %`."""
    return f"{100 * float(share):.6g} %"


def chance(probability: float) -> str:
    """A probability from sample paths: 0 or 1 of them does not prove anything impossible or certain."""
    return percent(min(max(probability, _LEAST_CHANCE), 1 - _LEAST_CHANCE))


def count(number: int, noun: str) -> str:
    """`1 account`, `2,000 accounts`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """An age or a wait in its largest whole unit: `119 seconds`, `2 minutes`, `23 hours`, `1 day`."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        number = int(seconds // size)
        if number >= 2 or (number == 1 and size == 86400):
            return count(number, name)
    return count(int(max(seconds, 0)), "second")


def instant(moment: datetime) -> str:
    """An aware instant to the minute: `2026-03-18 13:37 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
