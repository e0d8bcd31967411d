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

from pipeline.models.macros import called_by
from pipeline.models.model import Model
from pipeline.models.views import reads_of_view, record_view
from pipeline.schema.tables import RECORDS
from pipeline.vendors import discover as discover_vendors

_DIGITS: Final = 32


@cache
def canonical(sql: str) -> str:
    """Normalise a SELECT, or an expression, by parsing it: comments, line breaks and letter case do not count."""
    import sqlglot

    return sqlglot.parse_one(sql, read="duckdb").sql(dialect="duckdb", comments=False, normalize=True)


def select_hash(name: str, models: Mapping[str, Model]) -> str:
    """Hash of a model, by the table's full name."""
    return _hash_of(name, models, {})


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
        f"{macro.name}({', '.join(macro.parameters)}) {canonical(macro.expression)}" for macro in called_by(sql)
    )


@cache
def _view_text(name: str) -> str:
    kind = name.removeprefix("staging.")
    if kind in RECORDS:
        return canonical(record_view(RECORDS[kind], discover_vendors()).partition(" AS ")[2])
    return name


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:_DIGITS]
