"""Redaction of bodies by place: what a vendor's answer holds at a declared path is never kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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

    A text at a place, or within what is there, is replaced wherever a text or a key of the body repeats it, in every
    spelling that `Redactor` finds, and so is a number that is the same as such a text. The rest keeps its bytes where
    that is possible; otherwise the document is written again.

    Of a body that may hold such a value where it cannot be found, only the length is kept: one that is not JSON, such
    as a truncated one, or that has a key twice in one object.
    """
    if not places or not body:
        return body, False
    try:
        document = decode_keeping_numbers(body)
        is_ambiguous = _has_a_key_twice(body)
    except (NotJson, ValueError, RecursionError):
        return f"[redacted: {len(body)} bytes that are not JSON]".encode(), True
    if is_ambiguous:
        return f"[redacted: {len(body)} bytes of JSON with a key twice in one object]".encode(), True
    found = {place: place.find(document) for place in places}
    if not any(found.values()):
        return body, False
    try:
        return _without(body, document, found), True
    except RecursionError:
        return f"[redacted: {len(body)} bytes that are nested too deeply]".encode(), True


def _without(body: bytes, document: object, found: dict[JsonPath, list[object]]) -> bytes:
    marks = {
        text: _mark(place)
        for place, values in found.items()
        for value in values
        for text in _texts(value)
        if len(text) >= _SHORTEST
    }
    redactor = Redactor(_secrets(found))
    wanted = document
    for place in found:
        wanted = place.replace(wanted, _mark(place))
    written = msgspec.json.encode(_redacted(wanted, redactor, marks))
    # Text that is replaced within a number, or a short one that is not replaced, gives another document.
    kept, _ = redactor.body(body)
    try:
        return kept if decode_json(kept) == decode_json(written) else written
    except NotJson:
        return written


def _redacted(value: object, redactor: Redactor, marks: dict[str, str]) -> object:
    """A copy of the value whose texts, keys and whole numbers have none of the marked texts."""
    match value:
        case str():
            text = redactor.text(value)
            for secret, mark in marks.items():
                text = text.replace(secret, mark)
            return text
        case dict():
            return {
                str(_redacted(key, redactor, marks)): _redacted(each, redactor, marks) for key, each in value.items()
            }
        case list():
            return [_redacted(each, redactor, marks) for each in value]
    return marks.get(_number_text(value), value)


def _number_text(value: object) -> str:
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else str(value)


def _has_a_key_twice(body: bytes) -> bool:
    """Whether an object of the document has a key twice: readers see the last one only."""
    is_twice = False

    def pairs(items: list[tuple[str, object]]) -> None:
        nonlocal is_twice
        is_twice = is_twice or len({key for key, _ in items}) < len(items)

    json.loads(body, object_pairs_hook=pairs, parse_int=str, parse_float=str)
    return is_twice


def _secrets(found: dict[JsonPath, list[object]]) -> list[Secret]:
    secrets = []
    for place, values in found.items():
        for text in (text for value in values for text in _texts(value)):
            # Texts that no key may be are left to their place.
            with suppress(ValueError):
                if len(text) >= _SHORTEST:
                    secrets.append(Secret(text, name=_name(place)))
    return secrets


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in value.values():
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)


def _mark(place: JsonPath) -> str:
    return f"[redacted:{_name(place)}]"


def _name(place: JsonPath) -> str:
    # The mark is written into texts of JSON.
    return place.text.replace('"', "").replace("\\", "")
