"""Rows of docs/performance.md that were measured alone."""

from __future__ import annotations

from benchmarks.table import Row, markdown, with_rows


def test_measured_rows_replace_those_of_their_name_and_keep_the_others() -> None:
    page = "Measured once.\n\n" + markdown([Row(what="one", measured="1"), Row(what="one more", measured="2")])
    found = with_rows(page, [Row(what="one", measured="3", how="fast"), Row(what="new", measured="4")], "alone")
    assert found.splitlines() == [
        *page.splitlines()[:4],
        "| one | 3 |  |  | fast; alone |",
        "| one more | 2 |  |  |  |",
        "| new | 4 |  |  | alone |",
    ]
