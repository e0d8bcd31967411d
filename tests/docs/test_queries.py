"""docs/queries.md: each query runs on a published build, and returns rows as described."""

from __future__ import annotations

import re

import pytest

from tests.bench import Bench
from tests.docs.pages import DOCS, Block, blocks

QUERIES = blocks(DOCS / "queries.md", "sql")


@pytest.mark.parametrize("query", QUERIES, ids=lambda block: block.name)
def test_a_query_returns_rows(published: Bench, query: Block) -> None:
    assert published.rows(query.text)


def test_a_query_runs_on_the_command_line_unchanged(published: Bench) -> None:
    done = published.command("sql", QUERIES[0].text)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["account_id", "balance_amount", "unit_code"]


def test_each_is_a_question_and_a_sentence_before_its_query() -> None:
    _, _, *parts = re.split(r"^## ", (DOCS / "queries.md").read_text(encoding="utf-8"), flags=re.MULTILINE)

    assert len(parts) == len(QUERIES) == 10
    for number, part in enumerate(parts, 1):
        heading, sentence, query = part.split("\n\n", 2)
        assert re.fullmatch(rf"{number}\. .+\?", heading)
        assert sentence.endswith(".")
        assert query.startswith("```sql\n")


def test_no_query_adds_amounts_of_different_units() -> None:
    for query in QUERIES:
        if "sum(" in query.text:
            assert re.search(r"group by.*\bunit_code", query.text, re.DOTALL), query.name
