"""Dotted paths into decoded JSON."""

from __future__ import annotations


def dig(value: object, path: str) -> object:
    """Value at a dotted path of object keys, such as `links.next`; None if there is none.

    An empty path is the value itself.
    """
    for key in path.split(".") if path else ():
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
