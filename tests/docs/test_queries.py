"""docs/queries.md: each query runs on a published build, and finds what it is there to find."""

from __future__ import annotations

import re

import pytest

from tests.bench import Bench
from tests.docs.pages import DOCS, Block, blocks

QUERIES = blocks(DOCS / "queries.md", "sql")


@pytest.mark.parametrize("query", QUERIES, ids=lambda block: block.name)
def test_a_query_returns_rows(published: Bench, query: Block) -> None:
    assert published.rows(query.text)


def test_a_query_runs_on_the_command_line_as_it_stands(published: Bench) -> None:
    done = published.command("sql", QUERIES[0].text)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["account_id", "balance_amount", "unit_code"]


def test_each_of_the_ten_has_a_heading_and_a_sentence() -> None:
    text = (DOCS / "queries.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\d+)\. [^\n]+\?\n\n[A-Z][^`]*(?:`[^`\n]+`[^`]*)*\.\n\n```sql$", text, re.MULTILINE)

    assert [int(number) for number in sections] == list(range(1, 11))
    assert len(QUERIES) == 10


def test_no_query_adds_amounts_of_different_units() -> None:
    for query in QUERIES:
        if "sum(" in query.text:
            assert re.search(r"group by.*\bunit_code", query.text, re.DOTALL), query.name
