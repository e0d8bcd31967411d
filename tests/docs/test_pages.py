"""Everything that pages name exists: files, links, tables, columns, commands, targets."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import typer.main

from docs.generate import GENERATED
from pipeline import __version__
from pipeline.cli import app
from pipeline.cli.starters import ACCOUNTS_TOML, accounts_toml
from pipeline.schema.tables import ALL, RECORDS, published
from pipeline.warehouse.layout import layout
from tests.docs.pages import (
    CLONE,
    DICTIONARY,
    DOCS,
    PAGES,
    README,
    REFERENCE,
    anchors,
    blocks,
    code_words,
    links,
    prose,
)

_EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
_TOPS = {path.name for path in CLONE.iterdir()}


@cache
def _sources() -> str:
    paths = [
        *(path for folder in ("pipeline", "sql", "tests", "benchmarks", "bi") for path in (CLONE / folder).rglob("*")),
        *(CLONE / "docs" / "deploy").iterdir(),
        *(CLONE / name for name in ("Makefile", "pyproject.toml", "mkdocs.yml", ".ci/run", "docs/generate.py")),
    ]
    wanted = [path for path in paths if path.is_file() and "docs/test_" not in str(path) and path.suffix != ".pyc"]
    return "\n".join(path.read_text(encoding="utf-8", errors="ignore") for path in wanted)


def _own_files(page: Path) -> set[str]:
    """Files that a page tells its reader to write."""
    labels = {block.label for block in blocks(page) if block.label}
    return labels | {str(parent) for label in labels for parent in Path(label).parents}


@_EVERY_PAGE
def test_a_page_has_one_title_and_stays_short(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert len(re.findall(r"^# ", prose(page), re.MULTILINE)) == 1
    assert text.startswith("# ")
    assert len(text.splitlines()) <= (150 if page == README else 270)
    assert text.count("\n```") % 2 == 0


@pytest.mark.parametrize("page", [*PAGES, *REFERENCE], ids=lambda path: str(path.relative_to(CLONE)))
def test_its_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@_EVERY_PAGE
def test_no_file_is_named_that_is_not_there(page: Path) -> None:
    own = _own_files(page)
    for word in code_words(page):
        path = word.rstrip("/")
        if path.split("/")[0] in _TOPS and not re.search(r"[<*…\s]", path):
            assert (CLONE / path).exists() or path in own, word


@_EVERY_PAGE
def test_no_table_is_named_that_is_not_there(page: Path) -> None:
    tables = {table.full_name for table in layout()[0]} | {f"staging.{kind}" for kind in RECORDS} | set(ALL)
    named = re.findall(r"\b((?:staging|core|marts|alerts|forecasts)\.[a-z_]+)\b", page.read_text(encoding="utf-8"))
    own = {".".join(Path(label).parts[1:3]) for label in _own_files(page) if label.startswith("sql/")}

    assert {name for name in named if not name.endswith((".parquet", ".md"))} <= tables | own


@_EVERY_PAGE
def test_no_name_is_used_that_the_code_does_not_know(page: Path) -> None:
    own = " ".join(block.text for block in blocks(page))
    # Names that follow from the reader's files, such as an asset of a new vendor, are tested separately.
    own_parts = {Path(label).parent.name for label in _own_files(page)}
    for word in code_words(page):
        if "/" in word and (CLONE / word).exists():
            continue
        for name in re.findall(r"\b[a-zA-Z0-9]+(?:_[a-zA-Z0-9]+)+\b", word):
            assert name in _sources() or name in own or name.split("_")[0] in own_parts, name


@_EVERY_PAGE
def test_no_command_is_named_that_is_not_there(page: Path) -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    text = page.read_text(encoding="utf-8")
    commands = [*code_words(page), *(command for block in blocks(page, "console") for command in block.commands())]
    for line in commands:
        for name, rest in re.findall(r"(?:^|&& |\()drawdown (\w+)([^&|)]*)", line):
            assert name in known, line
            command = known[name]
            # A command of commands, such as `vendors check`.
            below = getattr(command, "commands", {}).get(rest.split()[0] if rest.split() else "")
            options = {option for parameter in (below or command).params for option in parameter.opts}
            assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= options, line
    targets = set(re.findall(r"^([a-z0-9-]+):", (CLONE / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ )make ([a-z0-9-]+)", text)) <= targets


@pytest.mark.parametrize(("path", "make"), GENERATED.items(), ids=lambda value: getattr(value, "name", ""))
def test_a_generated_file_is_up_to_date(path: Path, make: Callable[[], str]) -> None:
    assert path.read_text(encoding="utf-8") == make(), "make docs"


def test_the_dictionary_has_a_page_for_each_schema_and_a_heading_for_each_published_table() -> None:
    assert {path for path in GENERATED if path.parent == DICTIONARY} == set(REFERENCE)
    for made in published():
        page = DICTIONARY / f"{made.layer}.md"
        assert made.full_name.replace(".", "") in anchors(page)
        assert f"{page.name}#{made.layer}{made.name})" in (DICTIONARY / "README.md").read_text(encoding="utf-8")
    for page in REFERENCE:
        assert len(re.findall(r"^# ", page.read_text(encoding="utf-8"), re.MULTILINE)) == 1


def test_the_example_of_accounts_is_what_init_writes() -> None:
    example = (CLONE / "accounts.example.toml").read_text(encoding="utf-8")
    assert example == accounts_toml()
    assert example.startswith(ACCOUNTS_TOML)


def test_the_changelog_knows_this_version() -> None:
    text = (CLONE / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text
    assert __version__ in text


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / link).resolve() for page in [*PAGES, *REFERENCE] for link in links(page) if "://" not in link
    }
    assert set(DOCS.rglob("*.md")) <= linked
