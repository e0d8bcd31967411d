"""Another SELECT for a model during a block, as an edit of its file would give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.models.discovery import discover


@contextmanager
def changed_select(name: str, sql: str) -> Iterator[None]:
    """Give a model another SELECT; `name` is the full name of its table."""
    model = discover()[name]
    before = model.sql
    object.__setattr__(model, "sql", sql)
    try:
        yield
    finally:
        object.__setattr__(model, "sql", before)
