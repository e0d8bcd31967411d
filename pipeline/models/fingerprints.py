"""What a table's rows follow from, as a hash: a changed SELECT is told apart from a reworded comment.

The hash of a model covers its parsed SELECT and everything that it reads by view, macro or model. So a change anywhere
upstream changes the hashes of all that is downstream, and these tables owe all their months
(`pipeline.models.recompute`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Final

from pipeline.models.model import Model
from pipeline.models.views import EVIDENCE, conversion_macros, evidence_view, reads_of_view, record_view
from pipeline.schema.tables import RECORDS
from pipeline.vendors import discover as discover_vendors

_DIGITS: Final = 32


@cache
def canonical(sql: str) -> str:
    """A SELECT as its parsed form spells it: without comments, and whatever its line breaks and letter case."""
    import sqlglot

    return sqlglot.parse_one(sql, read="duckdb").sql(dialect="duckdb", comments=False, normalize=True)


def select_hash(name: str, models: Mapping[str, Model]) -> str:
    """The hash of a model, by the table's full name."""
    return _hash_of(name, models, {})


def _hash_of(name: str, models: Mapping[str, Model], found: dict[str, str]) -> str:
    if name in found:
        return found[name]
    model = models.get(name)
    if model is None:
        found[name] = _digest(_view_text(name), *(_hash_of(each, models, found) for each in reads_of_view(name)))
    else:
        text = canonical(model.select)
        macros = _macros() if "core." in text.replace(" ", "").lower() else ""
        found[name] = _digest(text, macros, *(_hash_of(each, models, found) for each in model.reads))
    return found[name]


@cache
def _macros() -> str:
    return " ".join(" ".join(conversion_macros()).split())


@cache
def _view_text(name: str) -> str:
    kind = name.removeprefix("staging.")
    if name == EVIDENCE:
        return canonical(evidence_view().partition(" AS")[2])
    if kind in RECORDS:
        return canonical(record_view(RECORDS[kind], discover_vendors()).partition(" AS ")[2])
    return name


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:_DIGITS]
