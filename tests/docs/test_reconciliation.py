"""docs/reconciliation.md: its queries run on a published build, and its classes are complete."""

from __future__ import annotations

import re

import pytest

from pipeline.schema.columns import COLUMNS
from tests.bench import Bench
from tests.docs.pages import DOCS, Block, blocks

_PAGE = DOCS / "reconciliation.md"


@pytest.mark.parametrize("query", blocks(_PAGE, "sql"), ids=lambda block: block.name)
def test_a_query_runs(published: Bench, query: Block) -> None:
    rows = published.rows(query.text)
    assert rows or "unexplained_class is not null" in query.text


def test_every_class_is_explained() -> None:
    table = _PAGE.read_text(encoding="utf-8").split("| class |")[1].split("\n\n")[0]
    explained = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert sorted(explained) == sorted(COLUMNS["unexplained_class"].allowed)
