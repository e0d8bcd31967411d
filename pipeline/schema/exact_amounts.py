"""Amounts as texts, exactly: the one rule for which numbers of vendors and files are amounts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from pipeline.schema.units import MONEY_SCALE, WIDEST_PRECISION

ANY_NUMBER: Final = r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?"
"""Pattern of a number's text. Digits are listed, because `\\d` also matches those of other scripts."""

INTEGER_DIGITS: Final = WIDEST_PRECISION - MONEY_SCALE
"""Most digits before the point that are read; fewer are stored."""

_ANY_DECIMAL = re.compile(ANY_NUMBER)
# Longer texts cannot be amounts that fit, in any notation.
_LONGEST_DECIMAL = 80
# Two numbers within the longest exponents, with all of their digits, and room for the carry of many.
_WIDE = Context(prec=4 * _LONGEST_DECIMAL)


def _is_number(text: str) -> bool:
    return len(text) <= _LONGEST_DECIMAL and _ANY_DECIMAL.fullmatch(text) is not None


def in_units(text: str, minor_digits: int) -> str:
    """Convert an amount in a fraction of its unit, such as cents; a text that is no number stays as it is."""
    if not _is_number(text):
        return text
    return str(Decimal(text).scaleb(-minor_digits, Context(prec=_LONGEST_DECIMAL)))


def exact_sum(parts: Iterable[tuple[int, object]]) -> str | None:
    """Sum of signed numbers, exactly, as text; None if one of them is no number, or if a text exceeds 80 characters.

    `parts` has a sign, 1 or -1, and a decoded JSON value each: an int, or the text of a number.
    """
    total = Decimal(0)
    for sign, value in parts:
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if not _is_number(text):
            return None
        number = Decimal(text)
        # The exponent is bounded before any arithmetic, as in `exact_money`.
        if number and abs(number.adjusted()) > _LONGEST_DECIMAL:
            return None
        total = _WIDE.add(total, number.copy_negate() if sign < 0 else number)
    found = format(total, "f")
    return found if len(found) <= _LONGEST_DECIMAL else None


def exact_money(text: str, *, rounds: bool = False) -> str | None:
    """Convert a decimal's text to plain notation with at most nine decimals; None if it does not fit exactly.

    With `rounds`, digits beyond the ninth decimal are rounded half-even instead of rejected.
    """
    if not _is_number(text):
        return None
    number = Decimal(text)
    if not number:
        return "0"
    # The exponent is bounded before any arithmetic: 1e999999 as an integer would take minutes.
    if not number.is_finite() or abs(number.adjusted()) > _LONGEST_DECIMAL:
        return "0" if rounds and number.adjusted() < 0 else None
    step = Decimal(1).scaleb(-MONEY_SCALE)
    rounded = number.quantize(step, rounding=ROUND_HALF_EVEN, context=Context(prec=2 * _LONGEST_DECIMAL))
    if rounded != number and not rounds:
        return None
    # abs() would round to the default context's 28 digits.
    if rounded.copy_abs() >= Decimal(10) ** INTEGER_DIGITS:
        return None
    return format(rounded, "f")
