"""YAML definitions: read as text, and checked against a type; errors name the file, the key and the remedy."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml

from pipeline.support.errors import DrawdownError, first_line

Definition = TypeVar("Definition")


class _Loader(yaml.CBaseLoader):  # type: ignore[misc] # PyYAML has no types
    """Keeps every scalar as text (`off` is no boolean), and refuses a repeated key."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        if len(made) != len(node.value):
            names = [key.value for key, _ in node.value]
            twice = next(name for name in names if names.count(name) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice} occurs twice", node.start_mark)
        return made


def read_mapping(path: Path, where: str) -> dict[str, Any]:
    """Read a mapping of texts, lists and mappings from a YAML file.

    `where` names the file in errors. Raises DrawdownError for a file that cannot be read, is no YAML or has other
    contents.
    """
    try:
        # _Loader builds nothing but text, lists and mappings.
        found = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506
    except OSError as problem:
        raise DrawdownError(f"{where} cannot be read: {problem.strerror}") from None
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise DrawdownError(f"{where}{line}: {problem.problem}") from None
    except yaml.YAMLError as problem:
        raise DrawdownError(f"{where}: {first_line(problem)}") from None
    if not isinstance(found, dict):
        raise DrawdownError(f"{where} must hold `key: value` lines")
    return found


def checked(found: object, kind: type[Definition], where: str) -> Definition:
    """Convert a mapping to a typed definition; texts become numbers and booleans as the type requires.

    Raises DrawdownError, with `where`, for an unknown key, a missing one, or a value of another type.
    """
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as problem:
        words, _, place = str(problem).partition(" - at `$")
        known = ""
        if words.startswith("Object "):
            known = f"; known keys are {', '.join(_keys(_type_at(kind, place)))}"
            words = words.replace("Object contains unknown field", "unknown key")
            words = words.replace("Object missing required field", "missing key")
        # The name of a key inside a mapping is not in the message.
        at = f" at `{place.strip('.`').replace('[...]', '')}`" if place else ""
        raise DrawdownError(f"{where}: {words}{at}{known}") from None


def _type_at(kind: Any, place: str) -> Any:
    """Type of the value at a place inside a definition, such as `.reach[...]`."""
    for name in re.findall(r"\.(\w+)|\[", place):
        if name:
            kind = get_type_hints(kind)[name]
        else:
            # Of a union, the mapping is what has keys.
            kind = next((each for each in get_args(kind) if get_origin(each) is dict), kind)
            kind = get_args(kind)[-1]
    return kind


def _keys(kind: type) -> list[str]:
    return [each.name for each in msgspec.structs.fields(kind)]
