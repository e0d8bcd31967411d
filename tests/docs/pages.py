"""The documentation's pages and their parts: fenced blocks, transcripts, links, code words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CLONE = Path(__file__).parents[2]
README = CLONE / "README.md"
CONTRIBUTING = CLONE / "CONTRIBUTING.md"
DOCS = CLONE / "docs"
DICTIONARY = DOCS / "dictionary"
REFERENCE = sorted(DICTIONARY.glob("*.md"))
"""Generated reference pages, which are as long as their contents."""
PAGES = [
    README,
    CONTRIBUTING,
    CLONE / "CHANGELOG.md",
    *sorted(page for page in DOCS.rglob("*.md") if page not in REFERENCE),
]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LABEL = re.compile(r"`([^`\n]+)`[^`\n]*:\n\n\Z")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    page: Path
    line: int
    language: str
    text: str
    label: str | None
    """Last `code` of a line that ends in a colon right before the block: the path of its file."""

    @property
    def name(self) -> str:
        return f"{self.page.name}:{self.line}"

    def transcript(self) -> list[tuple[str, list[str]]]:
        """Commands after `$ `, each with its printed lines."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            elif line:
                found[-1][1].append(line)
        return found

    def commands(self) -> list[str]:
        return [command for command, _ in self.transcript()]


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """A page's fenced blocks, of one language or of all."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        label = _LABEL.search(text, 0, match.start())
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match[1], match[2], label[1] if label else None))
    return [block for block in found if language in (None, block.language)]


def section(page: Path, heading: str) -> str:
    """Text under a heading, up to the next of its level or above."""
    text = page.read_text(encoding="utf-8")
    # A comment in a fenced block looks like a heading, so blocks are blanked, keeping positions.
    blanked = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    start = re.search(rf"^(#+) {re.escape(heading)}$", blanked, re.MULTILINE)
    assert start, f"{page.name} has no heading {heading!r}"
    end = re.compile(rf"^#{{1,{len(start[1])}}} ", re.MULTILINE).search(blanked, start.end())
    return text[start.end() : end.start() if end else None]


def blocks_under(page: Path, heading: str, language: str) -> list[Block]:
    """Blocks under a heading."""
    wanted = section(page, heading)
    return [block for block in blocks(page, language) if f"```{language}\n{block.text}```" in wanted]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def code_words(page: Path) -> list[str]:
    """Text in backticks, without fenced blocks."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def links(page: Path) -> list[str]:
    """Targets of a page's links."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """A page's headings in the form of anchors."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
