"""Text from outside as it is displayed: on one line, and without anything that a terminal, log or page would interpret.

Landing and the tables keep the original. Displayed text passes through here: stderr, logs, Dagster's records, alerts,
CSV and JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_IN_JSON: Final = re.compile(r"[^\n\x20-\x7e]")


def printable(text: object) -> str:
    """Text on one line; control characters, line ends and characters that change the writing direction are escaped.

    Other letters stay as they are.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)


def printable_lines(lines: Iterable[object]) -> str:
    """Texts as printable lines."""
    return "\n".join(map(printable, lines))


def printable_json(document: str) -> str:
    """A JSON document with the same values, and those characters escaped in JSON's way."""
    if document.isprintable():
        return document
    return _IN_JSON.sub(lambda found: found[0] if found[0].isprintable() else _json_escape(found[0]), document)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
