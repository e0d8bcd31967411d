"""An HTML page as a tree, and its figures as a reader sees them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from html.parser import HTMLParser
from typing import Any

_EMPTY = {"meta", "link", "input", "br"}
# Elements that HTML ends implicitly, and the tags that end them.
_ENDED_BY = {
    "td": {"td", "th", "tr", "tbody"}, "th": {"td", "th", "tr", "tbody"}, "tr": {"tr", "tbody"}, "thead": {"tbody"},
}  # fmt: skip


@dataclass
class Element:
    """An element; `parts` are its texts and children, in order."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    parts: list[str | Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def all(self, is_wanted: Callable[[Element], bool]) -> Iterator[Element]:
        for part in self.parts:
            if isinstance(part, Element):
                if is_wanted(part):
                    yield part
                yield from part.all(is_wanted)

    def tags(self, *names: str) -> list[Element]:
        return list(self.all(lambda each: each.tag in names))

    def under(self, is_wanted: Callable[[Element], bool]) -> Element:
        """The nearest enclosing one."""
        around = self.parent
        while around is not None and not is_wanted(around):
            around = around.parent
        assert around is not None
        return around


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.here = Element("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        while tag in _ENDED_BY.get(self.here.tag, ()):
            assert self.here.parent
            self.here = self.here.parent
        made = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.parts.append(made)
        if tag not in _EMPTY:
            self.here = made

    def handle_endtag(self, tag: str) -> None:
        while self.here.tag != tag:
            assert self.here.tag in _ENDED_BY, f"</{tag}> ends <{self.here.tag}>"
            assert self.here.parent
            self.here = self.here.parent
        assert self.here.parent
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.parts.append(data)


def parse(page: str) -> Element:
    """Parse the page to a tree; AssertionError if its elements do not nest."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.here is reader.root
    return reader.root


def amount(words: str) -> Decimal:
    return Decimal(words.replace(",", "").replace("\N{MINUS SIGN}", "-"))


def is_shown(words: str, value: Any, column: str) -> bool:
    """Whether a text is a valid display of a value: rounded by its column's rule, and never to nothing."""
    if value is None:
        return words in ("not known", "not converted", "no plan", "\N{EN DASH}", "")
    if isinstance(value, bool):
        return words == ("yes" if value else "no")
    if isinstance(value, Decimal):
        shown = amount(words)
        rounded = value.quantize(Decimal("0.01"), ROUND_HALF_UP)
        return shown == rounded if rounded or not value else shown == value
    if isinstance(value, datetime):
        return words == f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, date):
        return words == str(value)[: 7 if column.endswith("_month") else 10]
    if isinstance(value, float) and words.endswith(" %"):
        if words in ("under 0.1 %", "over 99.9 %"):
            lowest, highest = (0, 1) if column.endswith("_probability") else (math.ulp(0.0), math.nextafter(1, 0))
            return lowest <= value < 0.001 if words[0] == "u" else 0.999 < value <= highest
        if column.endswith("_probability") and value in (0, 1):
            return False
        return abs(float(words.removesuffix(" %")) - 100 * value) <= 0.5
    if isinstance(value, float) and column.endswith("_days"):
        return words == f"{math.floor(round(value, 6)):,}"
    if isinstance(value, float):
        return abs(float(words.replace(",", "")) - value) <= 0.00501
    return words == str(value)
