"""The documentation's pages, and what stands in them: fenced blocks, transcripts, links, words in code."""

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
"""Pages that are made from definitions and looked up, not read through: they are as long as what they list."""
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
    """The last `code` of a line that ends in a colon and stands right before the block: the file that it is."""

    @property
    def name(self) -> str:
        return f"{self.page.name}:{self.line}"

    def transcript(self) -> list[tuple[str, list[str]]]:
        """The commands after `$ `, each with the lines that it printed."""
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
    """The text under a heading, up to the next of its level or above."""
    text = page.read_text(encoding="utf-8")
    # A comment in a fenced block looks like a heading: blocks are blanked, every place kept.
    blanked = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    start = re.search(rf"^(#+) {re.escape(heading)}$", blanked, re.MULTILINE)
    assert start, f"{page.name} has no heading {heading!r}"
    end = re.compile(rf"^#{{1,{len(start[1])}}} ", re.MULTILINE).search(blanked, start.end())
    return text[start.end() : end.start() if end else None]


def blocks_under(page: Path, heading: str, language: str) -> list[Block]:
    """The blocks under a heading."""
    wanted = section(page, heading)
    return [block for block in blocks(page, language) if f"```{language}\n{block.text}```" in wanted]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def code_words(page: Path) -> list[str]:
    """What stands in backticks, fenced blocks aside."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def links(page: Path) -> list[str]:
    """Where a page's links lead."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """A page's headings, spelled as a link to them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
