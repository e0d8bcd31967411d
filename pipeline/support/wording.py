"""Formats of numbers for people, the same everywhere: status, alerts, explain, report and charts.

Amounts are rounded to what a person pays. Exact digits are in SQL, CSV and JSON, and where the lines of a sum must add
up (`exact_amounts`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal

_LEAST_CHANCE = 1e-9
_CENT = Decimal("0.01")
_WIDE = Context(prec=50)


def amount(value: Decimal | float, unit_code: str = "") -> str:
    """`1,234.50 EUR`: two decimals, halves away from zero; a small amount that would look like 0.00 keeps its digits.

    The macro core.amount_words writes the same.
    """
    rounded = value.quantize(_CENT, ROUND_HALF_UP, _WIDE) if isinstance(value, Decimal) else value
    text = f"{rounded:,.2f}"
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
    if share < 0.1 or share > 0.9:
        return f"{math.floor(1000 * share + 0.5) / 10:g} %"
    return f"{math.floor(100 * share + 0.5)} %"


def exact_percent(share: Decimal | float) -> str:
    """A configured share, such as a tax rate or an accepted risk, to its last digit: `19.6 %`."""
    return f"{100 * float(share):.6g} %"


def chance(probability: float) -> str:
    """A probability from sample paths: 0 or 1 of them does not prove anything impossible or certain.

    The macro core.chance_words writes the same.
    """
    return percent(min(max(probability, _LEAST_CHANCE), 1 - _LEAST_CHANCE))


def odds(probability: float, least: float) -> str:
    """`one chance in 1,200`, to two digits; `less than one chance in 1,000,000` for what is not above `least`."""
    one_in = 1.0 / max(probability, least)
    digits = 10 ** max(math.floor(math.log10(one_in)) - 1, 0)
    text = f"one chance in {round(one_in / digits) * digits:,}"
    return f"less than {text}" if probability <= least else text


def count(number: int, noun: str) -> str:
    """`1 account`, `2,000 accounts`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def whole_days(number: float) -> str:
    """A count of days without a fraction, rounded down: `12`, `1,234`. 11.9 days left are not 12."""
    return f"{_whole(number):,}"


def days(number: float) -> str:
    """The same with its noun: `1 day`, `12 days`.

    The macro core.days_words writes the same.
    """
    return count(_whole(number), "day")


def _whole(days: float) -> int:
    # 0.3 / 0.1 is a little below 3.
    return math.floor(round(days, 6))


def duration(seconds: float) -> str:
    """An age or a wait in its largest whole unit: `119 seconds`, `2 minutes`, `23 hours`, `1 day`.

    The macro core.age_words writes the same.
    """
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        number = int(seconds // size)
        if number >= 2 or (number == 1 and size == 86400):
            return count(number, name)
    return count(int(max(seconds, 0)), "second")


def instant(moment: datetime) -> str:
    """An aware instant to the minute: `2026-03-18 13:37 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
