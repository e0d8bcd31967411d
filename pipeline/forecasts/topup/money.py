"""Conversion of the sample paths' floats to money: exact, with at most nine decimals, always rounded up."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Final

from pipeline.forecasts.engine.histories import InputError
from pipeline.schema.units import MONEY_PRECISION, MONEY_SCALE, UNKNOWN_UNIT

_DIGITS: Final = 13
"""A sum of ninety floats is accurate to about 14 digits; digits beyond the 13th are rounding errors, not money."""


def checked(amount: Decimal, name: str) -> Decimal:
    """Return the amount as it can be stored. Raises InputError for floats and for amounts that cannot be stored."""
    if not isinstance(amount, Decimal):
        raise InputError(f"{name} is a {type(amount).__name__}; money is a Decimal")
    if not amount.is_finite():
        raise InputError(f"{name} is {amount}, not an amount")
    with localcontext(prec=2 * MONEY_PRECISION):
        exact = amount.quantize(Decimal(1).scaleb(-MONEY_SCALE)) if abs(amount.adjusted()) < MONEY_PRECISION else None
        if exact is None or exact != amount or len(exact.as_tuple().digits) > MONEY_PRECISION:
            raise InputError(f"{name} is {amount}, which is not an amount of {MONEY_SCALE} decimals at most")
    return exact


def rounded_up(amount: Decimal, scale: int) -> Decimal:
    """Return the smallest amount with `scale` decimals that is not below `amount`."""
    with localcontext(prec=2 * MONEY_PRECISION):
        return amount.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_CEILING)


def from_float(amount: float, name: str) -> Decimal:
    """Return the smallest amount with nine decimals that is not below a float. Raises InputError unless finite."""
    if not math.isfinite(amount):
        raise InputError(f"{name} is {amount}, not an amount")
    return checked(rounded_up(Decimal(f"{amount:.{_DIGITS - 1}e}"), MONEY_SCALE), name)


def amount_text(amount: Decimal, unit_code: str, scale: int) -> str:
    """Return an amount for a sentence: `1,120.00 EUR`, with more decimals than `scale` only if it has them."""
    whole, _, decimals = f"{amount:,.{MONEY_SCALE}f}".partition(".")
    decimals = decimals.rstrip("0").ljust(scale, "0")
    text = f"{whole}.{decimals}" if decimals else whole
    return text if unit_code == UNKNOWN_UNIT else f"{text} {unit_code}"
