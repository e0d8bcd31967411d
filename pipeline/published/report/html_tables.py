"""A table of the report: a query's rows as words, and the query itself, for anybody to ask again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pipeline.published.report.report_queries import Row, sql_of
from pipeline.support.svg import in_page

Spell = Callable[[Any], str]
"""Puts a value into words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlTable:
    """Rows of a query as words, the query as text, and what it is called."""

    query: str
    caption: str
    sql: str
    columns: tuple[tuple[str, str], ...]
    """The query's column, and its title."""
    cells: list[list[str]]
    is_words: bool = False
    """Its cells are words, aligned to the left."""
    fetch_ids: tuple[str, ...] = ()
    """Answers that it comes from, where they are few."""


def table(
    query: str,
    caption: str,
    rows: Sequence[Row],
    columns: Mapping[str, tuple[str, Spell]],
    *,
    account_id: str | None = None,
    is_words: bool = False,
    fetch_ids: tuple[str, ...] = (),
) -> HtmlTable:
    """A query's rows under titles; `columns` says how each is spelled."""
    return HtmlTable(
        query=query,
        caption=caption,
        sql=sql_of(query, account_id),
        columns=tuple((name, title) for name, (title, _) in columns.items()),
        cells=[[spell(row[name]) for name, (_, spell) in columns.items()] for row in rows],
        is_words=is_words,
        fetch_ids=fetch_ids,
    )


def drawn(svg: str) -> Markup:
    """A drawing as markup of the page."""
    # The drawings escape every word themselves.
    return Markup(in_page(svg))  # noqa: S704
