"""Fingerprints of models: hashes that change with a SELECT, but not with its comments.

The hash of a model covers its parsed SELECT, the macros that it calls, and every view and model that it reads. So a
change anywhere upstream changes the hashes of all tables downstream, and all months of these tables become dirty
(`pipeline.models.recompute`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Final

from pipeline.models import macros
from pipeline.models.model import Model
from pipeline.models.parsed_file import section
from pipeline.models.views import reads_of_view, record_view
from pipeline.schema.tables import RECORDS
from pipeline.vendors import discover as discover_vendors

_DIGITS: Final = 32


@cache
def canonical(sql: str) -> str:
    """Normalise a SELECT, or an expression, by parsing it: comments, line breaks and letter case do not count."""
    import sqlglot

    return sqlglot.parse_one(sql, read="duckdb").sql(dialect="duckdb", comments=False, normalize=True)


def text_hash(models: Mapping[str, Model]) -> str:
    """Hash of the texts of all models, macros and views. While it is the same, so is every `select_hash`.

    It needs no parser.
    """
    texts = [f"{name}\0{model.sql}" for name, model in models.items()]
    texts += [f"{each.name}{each.parameters} {each.expression}" for each in macros.discover_macros().values()]
    return _digest(*texts, *_view_statements())


@cache
def _view_statements() -> tuple[str, ...]:
    return tuple(record_view(record, discover_vendors()) for record in RECORDS.values())


def select_hash(name: str, models: Mapping[str, Model]) -> str:
    """Hash of a model, by the table's full name."""
    known = section("select_hashes", text_hash(models)) or {}
    return str(known.get(name) or _hash_of(name, models, {}))


def select_hashes(models: Mapping[str, Model]) -> dict[str, str]:
    """Hash of every model, by parsing all of them."""
    found: dict[str, str] = {}
    return {name: _hash_of(name, models, found) for name in models}


def _hash_of(name: str, models: Mapping[str, Model], found: dict[str, str]) -> str:
    if name in found:
        return found[name]
    model = models.get(name)
    if model is None:
        found[name] = _digest(_view_text(name), *(_hash_of(each, models, found) for each in reads_of_view(name)))
    else:
        text = canonical(model.select)
        found[name] = _digest(text, _macros(text), *(_hash_of(each, models, found) for each in model.reads))
    return found[name]


def _macros(sql: str) -> str:
    return " ".join(
        f"{macro.name}({', '.join(macro.parameters)}) {canonical(macro.expression)}" for macro in macros.called_by(sql)
    )


@cache
def _view_text(name: str) -> str:
    kind = name.removeprefix("staging.")
    if kind in RECORDS:
        return canonical(record_view(RECORDS[kind], discover_vendors()).partition(" AS ")[2])
    return name


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:_DIGITS]
