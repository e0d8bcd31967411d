"""Text from outside as it is shown: in one line, and with nothing in it that a terminal, a log or a page would obey.

Landing and the tables keep what came. What people are shown of it goes through here: stderr, logs, Dagster's records,
alerts, CSV and JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_IN_JSON: Final = re.compile(r"[^\n\x20-\x7e]")


def printable(text: object) -> str:
    """The text in one line; control characters, line ends and what turns the direction of writing are spelled out.

    Other letters stay as they are.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)


def printable_lines(lines: Iterable[object]) -> str:
    """Texts as lines, one each."""
    return "\n".join(map(printable, lines))


def printable_json(document: str) -> str:
    """A JSON document with the same values, in which those characters are escaped as JSON has it."""
    if document.isprintable():
        return document
    return _IN_JSON.sub(lambda found: found[0] if found[0].isprintable() else _json_escape(found[0]), document)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
