"""Redaction of bodies by place: what a vendor's answer holds at a declared path is never kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec

from pipeline.support.exact_json import NotJson, decode_json, decode_keeping_numbers
from pipeline.support.json_paths import JsonPath
from pipeline.support.secret import Redactor, Secret

_SHORTEST: Final = 8
"""Shorter texts are only replaced at their own place: elsewhere they would be found by chance."""


def redact_places(body: bytes, places: Sequence[JsonPath]) -> tuple[bytes, bool]:
    """Return a JSON body without the values at these places, and whether there were any.

    A text is replaced wherever the body repeats it, in every spelling that `Redactor` finds; the rest keeps its bytes.
    If anything else is at a place (a number, an object, a short text), the document is written again without it. A body
    that is not JSON, such as a truncated one, may hold such a value where it cannot be found: only its length is kept.
    """
    if not places or not body:
        return body, False
    try:
        payload = decode_json(body)
    except NotJson:
        return f"[redacted: {len(body)} bytes that are not JSON]".encode(), True
    found = {place: place.find(payload) for place in places}
    if not any(found.values()):
        return body, False
    redacted, _ = Redactor(_secrets(found)).body(body)
    document = decode_keeping_numbers(redacted)
    remaining = document
    for place in places:
        mark = _mark(place)
        if any(each != mark for each in place.find(document)):
            remaining = place.replace(remaining, mark)
    return (redacted if remaining is document else msgspec.json.encode(remaining)), True


def _secrets(found: dict[JsonPath, list[object]]) -> list[Secret]:
    secrets = []
    for place, values in found.items():
        for value in values:
            # Texts that no key may be are left to their place.
            with suppress(ValueError):
                if isinstance(value, str) and len(value) >= _SHORTEST:
                    secrets.append(Secret(value, name=_name(place)))
    return secrets


def _mark(place: JsonPath) -> str:
    return f"[redacted:{_name(place)}]"


def _name(place: JsonPath) -> str:
    # The mark is written into texts of JSON.
    return place.text.replace('"', "").replace("\\", "")
