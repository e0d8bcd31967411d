"""A listing of a simulated vendor framework, with the ways in which frameworks link and end their pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.vendors._port import Pages
from tests.landing.walking import Vendor, Walker

PATH = "/listing"
FILTERED = Pages(
    path=PATH,
    params={"page": "1", "per_page": "10", "filter[status]": "paid,open"},
    newest_first_by="created_at",
    look_back_days=35,
)


@dataclass
class Framework:
    """A listing as a framework makes it: page size and filter come from the query, and links have one style."""

    server: HTTPServer
    rows: list[dict[str, Any]] = field(default_factory=list)
    keeps: tuple[str, ...] = ()
    """The client's parameters that a link repeats."""
    end: str = "null"
    """Link of the last page: none (`null`, `absent`, `empty`), the page itself, the first page, or a page beyond the
    last, which then repeats the last one and links to itself (`clamped`) or on and on (`repeated`), or is empty
    (`endless`)."""
    meta: Callable[[int, int, int], dict[str, object]] = lambda page, last, total: {}
    is_relative: bool = False
    is_object: bool = False
    default_size: int = 4
    style: str = "page"
    before: Callable[[int], Response | None] = lambda page: None
    asked: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.expect_request(PATH).respond_with_handler(self._answer)

    @property
    def url(self) -> str:
        return self.server.url_for("").rstrip("/")

    def _answer(self, request: Request) -> Response:
        query = dict(request.args)
        self.asked.append(query)
        page = int(query.get(self.style, query.get("page", 1)))
        spoiled = self.before(page)
        if spoiled is not None:
            return spoiled
        # Without a filter, cancelled rows are included, as by a vendor's default.
        rows = [row for row in self.rows if "filter[status]" in query or row.get("status") == "cancelled"]
        size = int(query.get("per_page", self.default_size))
        last = max(1, -(-len(rows) // size))
        wanted = page
        if self.end in ("clamped", "repeated"):
            page = min(page, last)
        shown: Any = rows[(page - 1) * size : page * size]
        if self.is_object and shown:
            shown = {str(7 * place): row for place, row in enumerate(shown)}
        following = {"itself": page, "first": 1, "clamped": page + 1, "repeated": wanted + 1, "endless": page + 1}.get(
            self.end
        )
        number = page + 1 if page < last else following
        links: dict[str, object] = {"next": None}
        if number is not None:
            kept = {name: query[name] for name in self.keeps if name in query}
            base = "" if self.is_relative else f"{self.url}{PATH}"
            links["next"] = f"{base}?{urlencode({**kept, self.style: number})}"
        elif self.end != "null":
            links = {"next": ""} if self.end == "empty" else {}
        body = {"data": shown, "links": links, "meta": self.meta(page, last, len(rows))}
        return Response(json.dumps(body), content_type="application/json")


@pytest.fixture
def framework(httpserver: HTTPServer) -> Framework:
    """A listing of that framework over HTTP."""
    return Framework(httpserver)


@pytest.fixture
def walker(framework: Framework, tmp_path: Path) -> Walker:
    """A walker of its pages into a separate landing."""
    return Walker(framework.url, tmp_path / "landing")


@pytest.fixture
def vendor(httpserver: HTTPServer) -> Vendor:
    """A listing whose pages the test writes itself."""
    return Vendor(httpserver)
