"""A table of the report: formatted rows of a query, and the query itself, to be run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pipeline.published.report.report_queries import Row, sql_of
from pipeline.support.svg import in_page

Spell = Callable[[Any], str]
"""Formats a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlTable:
    """Formatted rows of a query, the text of the query, and a title."""

    query: str
    caption: str
    sql: str
    columns: tuple[tuple[str, str], ...]
    """Column of the query, and its title."""
    cells: list[list[str]]
    is_words: bool = False
    """Whether its cells are text, aligned to the left."""
    fetch_ids: tuple[str, ...] = ()
    """Answers behind it, if they are few."""


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
    """Format a query's rows under titles; `columns` gives the format of each."""
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
    """A drawing as markup for the page."""
    # The drawings escape every text themselves.
    return Markup(in_page(svg))  # noqa: S704
