"""A result, and the table of results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured goal."""

    what: str
    measured: str
    goal: str = ""
    is_reached: bool | None = None
    """None: no goal, for information only."""
    how: str = ""
    """The numbers behind it."""

    def line(self) -> str:
        """The row for a terminal."""
        verdict = {True: "reached", False: "NOT REACHED", None: ""}[self.is_reached]
        return f"  {self.what}: {self.measured} (goal {self.goal or 'none'}) {verdict}\n      {self.how}"


def markdown(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | measured | goal | | how |", "|---|---|---|---|---|", *map(_markdown_row, rows)]
    return "\n".join(lines) + "\n"


def with_rows(table: str, rows: Sequence[Row], note: str) -> str:
    """A Markdown table in which rows of the same name are replaced, and others added at its end, each with a note."""
    lines = table.splitlines()
    for row in rows:
        new = _markdown_row(replace(row, how="; ".join(filter(None, (row.how, note)))))
        places = [place for place, line in enumerate(lines) if line.startswith(f"| {row.what} |")]
        if places:
            lines[places[0]] = new
        else:
            lines.append(new)
    return "\n".join(lines) + "\n"


def _markdown_row(row: Row) -> str:
    verdict = {True: "reached", False: "**not reached**", None: ""}[row.is_reached]
    return f"| {row.what} | {row.measured} | {row.goal} | {verdict} | {row.how} |"


def between(page: Path, name: str) -> str:
    """Text between `<!-- name -->` and `<!-- /name -->` of a page.

    Raises ValueError if the page has no such marks.
    """
    return _parts(page, name)[1]


def replace_between(page: Path, name: str, text: str) -> None:
    """Replace the text between `<!-- name -->` and `<!-- /name -->` of a page.

    Raises ValueError if the page has no such marks.
    """
    before, _, after = _parts(page, name)
    page.write_text(f"{before}{text}{after}", encoding="utf-8")


def _parts(page: Path, name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    text, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no {begin.strip()} ... {end}")
    return before + begin, text, end + after
