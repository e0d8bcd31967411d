"""Amounts as texts, exactly: the one rule for which numbers of vendors and files are amounts."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from pipeline.schema.units import MONEY_SCALE, WIDEST_PRECISION

ANY_NUMBER: Final = r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?"
"""Pattern of a number's text. Digits are listed, because `\\d` also matches those of other scripts."""

_ANY_DECIMAL = re.compile(ANY_NUMBER)
_INTEGER_DIGITS = WIDEST_PRECISION - MONEY_SCALE
LONGEST_DECIMAL: Final = 80
"""Characters: longer texts cannot be amounts that fit, in any notation."""


def exact_money(text: str, *, rounds: bool = False) -> str | None:
    """Convert a decimal's text to plain notation with at most nine decimals; None if it does not fit exactly.

    With `rounds`, digits beyond the ninth decimal are rounded half-even instead of rejected.
    """
    if len(text) > LONGEST_DECIMAL or not _ANY_DECIMAL.fullmatch(text):
        return None
    number = Decimal(text)
    if not number:
        return "0"
    # The exponent is bounded before any arithmetic: 1e999999 as an integer would take minutes.
    if not number.is_finite() or abs(number.adjusted()) > LONGEST_DECIMAL:
        return "0" if rounds and number.adjusted() < 0 else None
    step = Decimal(1).scaleb(-MONEY_SCALE)
    rounded = number.quantize(step, rounding=ROUND_HALF_EVEN, context=Context(prec=2 * LONGEST_DECIMAL))
    if rounded != number and not rounds:
        return None
    # abs() would round to the default context's 28 digits.
    if rounded.copy_abs() >= Decimal(10) ** _INTEGER_DIGITS:
        return None
    return format(rounded, "f")
