"""The macros that models call: `sql/macros/<name>.sql` is one `CREATE MACRO core.<name>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from pipeline.schema.sql_folder import MACROS_FOLDER, shown
from pipeline.support.errors import DrawdownError

_CREATED: Final = re.compile(r"create or replace macro core\.([a-z_]+)\(([a-z0-9_,\s]+)\) as\s+(.+)", re.DOTALL)
_TEXT: Final = re.compile(r"'[^']*'")
_CALLED: Final = re.compile(r"\bcore\.([a-z_]+)\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Macro:
    """One macro of the schema core."""

    name: str
    parameters: tuple[str, ...]
    expression: str
    """Expression of a call, in terms of the parameters."""
    statement: str
    """Text of the file: comments and `CREATE OR REPLACE MACRO`."""


@cache
def discover_macros() -> dict[str, Macro]:
    """Return every macro by name, each after those that it calls.

    Raises DrawdownError for a file that is not one CREATE MACRO of the file's name.
    """
    from graphlib import TopologicalSorter

    found = {path.stem: _macro(path.stem, path.read_text(encoding="utf-8")) for path in MACROS_FOLDER.glob("*.sql")}
    graph = {name: sorted(calls(macro.expression) & found.keys()) for name, macro in sorted(found.items())}
    return {name: found[name] for name in TopologicalSorter(graph).static_order()}


def _macro(name: str, text: str) -> Macro:
    created = _CREATED.search(text)
    if created is None or created[1] != name or ";" in _TEXT.sub("", created[3]):
        raise DrawdownError(
            f"{shown(MACROS_FOLDER / name)}.sql must be one `create or replace macro core.{name}(...) as ...`, without "
            "a semicolon"
        )
    parameters = tuple(each.strip() for each in created[2].split(","))
    return Macro(name, parameters, created[3].strip(), text.strip())


def calls(sql: str) -> frozenset[str]:
    """Names of the functions of the schema core that SQL calls."""
    return frozenset(_CALLED.findall(sql.lower()))


def called_by(sql: str) -> list[Macro]:
    """Macros that SQL calls, directly or through other macros, in the order of `discover_macros`."""
    macros = discover_macros()
    waiting, needed = [*calls(sql)], set()
    while waiting:
        name = waiting.pop()
        if name in macros and name not in needed:
            needed.add(name)
            waiting += calls(macros[name].expression)
    return [macro for name, macro in macros.items() if name in needed]


def expanded(sql: str) -> str:
    """SQL with the expressions of macros in place of their calls, for a build, which has no macros."""
    for called in _CALLED.finditer(sql):
        if called[1] in discover_macros():
            arguments, end = _arguments(sql, called.end())
            return expanded(f"{sql[: called.start()]}({inlined(called[1], *arguments)}){sql[end:]}")
    return sql


def _arguments(sql: str, start: int) -> tuple[list[str], int]:
    """The arguments of the call whose parenthesis opens before `start`, and the position behind the call."""
    depth, first, found = 1, start, []
    for part in re.finditer(r"'[^']*'|[(),]", sql[start:]):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if depth == 0 or (depth == 1 and part[0] == ","):
            found.append(sql[first : start + part.start()].strip())
            first = start + part.end()
        if depth == 0:
            break
    return found, first


def inlined(name: str, *arguments: str) -> str:
    """Expand a macro with its arguments, for a build, which has no macros. `arguments` are SQL expressions."""
    macro = discover_macros()[name]
    values = dict(zip(macro.parameters, arguments, strict=True))
    return re.sub(r"'[^']*'|\b[a-z0-9_]+\b", lambda found: values.get(found[0], found[0]), macro.expression)
