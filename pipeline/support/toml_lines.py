"""Lines of a TOML document, by key: `tomllib` tells them only for mistakes of syntax."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

_PART: Final = r'(?:[A-Za-z0-9_-]+|"[^"\n]*"|\'[^\'\n]*\')'
_KEY: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER: Final = re.compile(rf"\s*\[(\[)?\s*({_KEY})\s*\]")
_ASSIGNMENT: Final = re.compile(rf"\s*({_KEY})\s*=")
_PARTS: Final = re.compile(_PART)


def line_of(text: str, place: Sequence[str | int]) -> int:
    """Line, from 1, of the longest beginning of a key's place that has one of its own.

    `place` has the keys from the top, and positions in lists of tables. An inline table and a list are found on the
    line of their key, and a table without a line of its own on that of its first key. 1 if there is none of these.
    """
    best, line = 0, 1
    for number, keys in _keys(text):
        common = 0
        for one, other in zip(keys, place, strict=False):
            if one != other:
                break
            common += 1
        if common > best and common in (len(keys), len(place)):
            best, line = common, number
    return line


def _keys(text: str) -> Iterator[tuple[int, tuple[str | int, ...]]]:
    """Each line that begins a table or a value, with its place."""
    table: tuple[str | int, ...] = ()
    counts: dict[tuple[str | int, ...], int] = {}
    # Not splitlines: a text in TOML may contain what Unicode calls a line separator.
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            table = _parts(header[2])
            if header[1]:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield number, table
        elif assignment := _ASSIGNMENT.match(line):
            yield number, (*table, *_parts(assignment[1]))


def _parts(key: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PARTS.findall(key))
