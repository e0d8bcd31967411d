"""Paths into decoded JSON: dotted keys, and a small language that also selects from lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_BARE: Final = r'[^.\[\]="\s]+'
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_KEY: Final = re.compile(rf"{_BARE}|{_QUOTED}")
_SELECTOR: Final = re.compile(
    rf"\[(?:(?P<every>\*)|(?P<position>[0-9]{{1,6}})|(?P<key>{_BARE}|{_QUOTED})=(?P<value>[^\[\]\"]+|{_QUOTED}))\]"
)
_ESCAPE: Final = re.compile(r"\\(.)")


def dig(value: object, path: str) -> object:
    """Value at a dotted path of object keys, such as `links.next`; None if there is none.

    An empty path is the value itself.
    """
    for key in path.split(".") if path else ():
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


@dataclass(frozen=True, slots=True)
class _Position:
    """One item of a list, counted from 0."""

    position: int


@dataclass(frozen=True, slots=True)
class _Matching:
    """Items of a list whose `key` has the text `value`; every item if `key` is None."""

    key: str | None
    value: str = ""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """Compiled path into decoded JSON.

    `data.total`            the key `total` of the object under `data`
    `items[0].total`        of the first item of a list
    `items[unit=USD].total` of each item whose `unit` is the text or number `USD`
    `items[*].total`        of every item
    `"a.b".total`           a key that contains a dot, a bracket, an equals sign or a blank

    An empty path is the value itself.
    """

    text: str
    steps: tuple[str | _Position | _Matching, ...]

    @classmethod
    def parse(cls, text: str) -> JsonPath:
        """Compile a path; raises ValueError with one sentence and the position of the first mistake, from 1."""
        steps: list[str | _Position | _Matching] = []
        at, needs_key = 0, bool(text) and not text.startswith("[")
        while at < len(text) or needs_key:
            if needs_key:
                key = _KEY.match(text, at)
                if key is None:
                    raise ValueError(f"expects a key at character {at + 1} of the path")
                steps.append(_unquoted(key[0]))
                at, needs_key = key.end(), False
            elif text[at] == ".":
                at, needs_key = at + 1, True
            else:
                selector = _SELECTOR.match(text, at)
                if selector is None:
                    raise ValueError(f"expects [0], [*] or [key=value] at character {at + 1} of the path")
                steps.append(_selector(selector))
                at = selector.end()
        return cls(text, tuple(steps))

    @property
    def is_plain(self) -> bool:
        """Whether `dig` finds the same: the text has only keys, and none of them is quoted."""
        return ".".join(step for step in self.steps if isinstance(step, str)) == self.text

    @property
    def first_key(self) -> str:
        """First key of the path; empty if it begins with a selection."""
        return self.steps[0] if self.steps and isinstance(self.steps[0], str) else ""

    def find(self, value: object) -> list[object]:
        """Values at the path, in the order of the document; null and absent ones are left out."""
        return [each for each in self.places(value) if each is not None]

    def places(self, value: object) -> list[object]:
        """As `find`, with None for each selected item that has no value at the path."""
        found = [value]
        for step in self.steps:
            found = [inner for each in found for inner in _inside(each, step)]
        return found

    def replace(self, value: object, by: object) -> object:
        """A copy of the value in which `by` is at every place that `find` finds."""
        return _replaced(value, self.steps, by)


def _replaced(value: object, steps: tuple[str | _Position | _Matching, ...], by: object) -> object:
    if not steps:
        return value if value is None else by
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        if isinstance(value, dict) and step in value:
            return {**value, step: _replaced(value[step], rest, by)}
    elif isinstance(value, list):
        return [_replaced(each, rest, by) if _is_meant(each, place, step) else each for place, each in enumerate(value)]
    return value


def _inside(value: object, step: str | _Position | _Matching) -> Iterator[object]:
    if isinstance(step, str):
        yield value.get(step) if isinstance(value, dict) else None
    elif isinstance(value, list):
        yield from (each for place, each in enumerate(value) if _is_meant(each, place, step))


def _is_meant(item: object, place: int, step: _Position | _Matching) -> bool:
    if isinstance(step, _Position):
        return place == step.position
    return step.key is None or _has(item, step.key, step.value)


def _has(value: object, key: str, wanted: str) -> bool:
    found = value.get(key) if isinstance(value, dict) else None
    if isinstance(found, bool):
        return wanted == ("true" if found else "false")
    return isinstance(found, str | int) and str(found) == wanted


def _selector(match: re.Match[str]) -> _Position | _Matching:
    if match["position"] is not None:
        return _Position(int(match["position"]))
    if match["every"] is not None:
        return _Matching(None)
    return _Matching(_unquoted(match["key"]), _unquoted(match["value"]))


def _unquoted(text: str) -> str:
    return _ESCAPE.sub(r"\1", text[1:-1]) if text.startswith('"') else text
