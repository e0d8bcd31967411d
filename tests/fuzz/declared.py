"""An independent reading of declared expressions, such as `(data.cash -rows[unit=USD].owed?) / 10^2`, with fractions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

_SCALED = re.compile(r"\((.*)\) / 10\^[0-9]+")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_STEP = re.compile(r'\.?("(?:[^"\\]|\\.)*"|[^.\[\]]+)|\[([^\]]*)\]')
_LONGEST = 80


class Unreadable(Exception):
    """No strict reader would accept it as a value."""


def declared_sum(expression: str, row: Mapping[str, Any]) -> Fraction | None:
    """Sum of the expression's terms before any scale; None if one that must be there is absent."""
    scaled = _SCALED.fullmatch(expression)
    total, count = Fraction(0), 0
    values: list[tuple[int, Any]] = []
    for term in (scaled[1] if scaled else expression).split(" "):
        sign = -1 if term.startswith("-") else 1
        found = _at(row, term.lstrip("+-").removesuffix("?"))
        if not term.endswith("?") and (not found or any(each is None for each in found)):
            return None
        values += [(sign, each) for each in found if each is not None]
    for sign, value in values:
        text = str(value)
        if isinstance(value, bool) or not isinstance(value, int | str) or not _NUMBER.fullmatch(text):
            raise Unreadable(value)
        if len(text) > _LONGEST or abs(Decimal(text).adjusted()) > _LONGEST:
            raise Unreadable(value)
        total, count = total + sign * Fraction(Decimal(text)), count + 1
    if count and _length(total, [str(value) for _, value in values]) > _LONGEST:
        raise Unreadable(values)
    return total if count else None


def declared_value(expression: str, row: Mapping[str, Any]) -> Any:
    """The one value at a path; None if there is none. Unreadable if there are several."""
    found = [each for each in _at(row, expression) if each is not None]
    if len({str(each) for each in found}) > 1:
        raise Unreadable(found)
    return found[0] if found else None


def _length(total: Fraction, texts: list[str]) -> int:
    """Characters of the sum with as many decimals as its most precise term."""
    decimals = max(max(-int(Decimal(text).as_tuple().exponent), 0) for text in texts)
    whole = len(str(abs(int(total))))
    return whole + (decimals + 1 if decimals else 0) + (total < 0)


def _at(value: Any, path: str) -> list[Any]:
    found = [value]
    for key, selection in _STEP.findall(path):
        inner: list[Any] = []
        for each in found:
            if key:
                inner.append(each.get(key.strip('"')) if isinstance(each, dict) else None)
            elif selection and isinstance(each, list):
                inner += [item for number, item in enumerate(each) if _is_selected(item, number, selection)]
        found = inner
    return found


def _is_selected(item: Any, number: int, selection: str) -> bool:
    if selection == "*" or selection == str(number):
        return True
    key, _, wanted = selection.partition("=")
    stated = item.get(key) if wanted and isinstance(item, dict) else None
    if isinstance(stated, bool):
        return wanted == str(stated).lower()
    return isinstance(stated, int | str) and str(stated) == wanted
