"""JSON with exact numbers: a Decimal is written digit by digit as a number, never by way of a float."""

from decimal import Decimal
from typing import Any

import msgspec

# Values of an answer's body: dict, list, str, int, bool, None, Decimal, and msgspec.Raw for a literal token.
Tree = Any

# Below this power of ten the vendors' own encoders write 1.48e-11 rather than a row of zeros.
_SMALLEST_PLAIN_EXPONENT = -7


def number_text(value: Decimal) -> str:
    """Return a JSON number with exactly `value`'s digits: no trailing zeros, lower-case exponent if tiny."""
    if not value.is_finite():
        raise ValueError("JSON has no number for a Decimal that is not finite")
    if not value:
        return "0"
    if value.adjusted() <= _SMALLEST_PLAIN_EXPONENT:
        sign, digits, _ = value.as_tuple()
        text = "".join(map(str, digits)).rstrip("0")
        mantissa = text[0] + ("." + text[1:] if text[1:] else "")
        return f"{'-' if sign else ''}{mantissa}e{value.adjusted()}"
    plain = format(value, "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def encode(tree: Tree) -> bytes:
    """Return `tree` as JSON in UTF-8."""
    return msgspec.json.encode(_exact(tree))


def _exact(tree: Tree) -> Tree:
    if isinstance(tree, Decimal):
        return msgspec.Raw(number_text(tree).encode())
    if isinstance(tree, dict):
        return {key: _exact(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_exact(value) for value in tree]
    return tree
