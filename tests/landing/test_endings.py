"""The end of a paged listing: at its last page, however it is linked, at a fault, or at the run's budget."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.landing.listing_walk import Resume
from tests.landing.listings import FILTERED, PATH, Framework
from tests.landing.walking import TODAY, Vendor, Walker, entry, ledger
from tests.staging.landed import Workshop


def _silent(page: int, last: int, total: int) -> dict[str, object]:
    return {}


def _numbers(page: int, last: int, total: int) -> dict[str, object]:
    return {"current_page": page, "last_page": last, "total": total, "per_page": 10}


def _texts(page: int, last: int, total: int) -> dict[str, object]:
    return {"current_page": page, "last_page": str(last), "total": str(total), "per_page": "10"}


def _total_alone(page: int, last: int, total: int) -> dict[str, object]:
    return {"total": str(total)}


_FOLDERS = itertools.count()


@pytest.mark.faults(19)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row_count=st.integers(0, 45),
    keeps=st.sampled_from([(), ("per_page",), ("filter[status]",), ("per_page", "filter[status]")]),
    end=st.sampled_from(["null", "absent", "empty", "itself", "clamped", "repeated", "first"]),
    meta=st.sampled_from([_silent, _numbers, _texts, _total_alone]),
    is_relative=st.booleans(),
    is_object=st.booleans(),
    style=st.sampled_from(["page", "cursor", "page[cursor]", "offset"]),
)
def test_however_a_listing_links_every_row_is_read_once_and_the_walk_is_whole(
    httpserver: HTTPServer, tmp_path: Path, row_count: int, keeps: tuple[str, ...], end: str, meta: Any,
    is_relative: bool, is_object: bool, style: str,
) -> None:  # fmt: skip
    httpserver.clear()
    framework = Framework(
        httpserver, ledger(row_count), keeps, end, meta, is_relative=is_relative, is_object=is_object, style=style
    )
    page_count = max(1, -(-row_count // 10))
    # A link back to the first page is an end only if the listing states that this is its last page; and only the count
    # can tell that there is a single page which is full and links to an equal one. The first page's own cursor is not
    # known before a link names it, so this page appears twice.
    if end == "first" and style != "page":
        end = framework.end = "null"
    is_named_later = end == "itself" and style != "page" and page_count == 1
    is_repeating = end in ("clamped", "repeated") or is_named_later
    if meta is _silent and ((end == "first" and page_count > 1) or (is_repeating and row_count == 10)):
        framework.meta = _numbers
    # An empty page with a further link is a fault.
    if is_repeating and row_count == 0:
        framework.end = "null"
    visit = Walker(framework.url, tmp_path / str(next(_FOLDERS))).visit(FILTERED)
    rows = [row for answer, step in visit.steps for row in _rows(answer.payload)]
    assert (visit.outcome, visit.steps[-1][1].is_complete) == ("ok", True)
    assert {row["id"] for row in rows} == {row["id"] for row in framework.rows}
    assert len(framework.asked) <= page_count + (2 if is_repeating else 0) + (1 if style != "page" else 0)
    assert visit.resume.is_newest_first == (row_count > 1)
    for query in framework.asked:
        assert (query["per_page"], query["filter[status]"]) == ("10", "paid,open")
    # Only the link determines the page to read.
    for query in framework.asked[1:]:
        assert set(query) == {"per_page", "filter[status]", style}


def _rows(payload: Any) -> list[dict[str, Any]]:
    data = payload["data"]
    return list(data.values()) if isinstance(data, dict) else data


@pytest.mark.faults(19)
@pytest.mark.parametrize("row_count", [0, 7, 10, 25])
@pytest.mark.parametrize("meta", [_silent, _numbers])
def test_an_empty_page_that_links_on_is_a_fault_after_the_rows_before_it(
    framework: Framework, walker: Walker, row_count: int, meta: Any
) -> None:
    framework.rows, framework.end, framework.meta = ledger(row_count), "endless", meta
    visit = walker.visit(FILTERED)
    page_count = -(-row_count // 10)
    assert visit.outcome == "pagination"
    reason = visit.steps[-1][0].reason
    assert (
        reason
        == f"page {page_count + 1} of /listing holds no rows and yet links to a further page; the walk ends there"
    )
    assert visit.ids == [row["id"] for row in framework.rows]
    assert len(framework.asked) == page_count + 1
    # Read as empty, it would prove a listing without entries.
    assert [str(answer.outcome) for answer, _ in visit.steps] == ["ok"] * page_count + ["pagination"]
    assert not any(step.is_complete for _, step in visit.steps)
    assert visit.resume == Resume()


@pytest.mark.parametrize("data", [None, "absent", {}, [], "none", 5])
def test_a_page_without_a_list_of_rows_that_links_on_is_a_fault(vendor: Vendor, walker: Walker, data: object) -> None:
    body = {"data": data, "links": {"next": f"{vendor.url}/ledger?page=2"}}
    if data == "absent":
        del body["data"]
    vendor.before_page = lambda page: Response(json.dumps(body), content_type="application/json")
    visit = walker.visit(replace(FILTERED, path="/ledger"))
    assert visit.outcome == "pagination"
    assert vendor.request_count == 1
    assert "holds no rows" in visit.steps[-1][0].reason


@pytest.mark.faults(19)
@pytest.mark.parametrize(
    ("end", "meta", "words"),
    [
        ("itself", lambda page, last, total: {"last_page": last + 1}, "links to itself, but by its own count"),
        ("itself", lambda page, last, total: {"total": str(total + 1)}, "links to itself, but by its own count"),
        ("first", lambda page, last, total: {"last_page": last + 1, "current_page": page}, "the listing is cyclic"),
        ("first", lambda page, last, total: {}, "links to page 1, which was already walked; the listing is cyclic"),
        ("clamped", lambda page, last, total: {"last_page": str(last + 5)}, "links to itself, but by its own count"),
        ("repeated", lambda page, last, total: {"last_page": str(last + 5)}, "has the rows of page 3 once more"),
    ],
)  # fmt: skip
def test_a_last_page_that_is_not_the_last_by_the_listings_own_count_is_a_fault(
    framework: Framework, walker: Walker, end: str, meta: Any, words: str
) -> None:
    framework.rows, framework.end, framework.meta = ledger(25), end, meta
    visit = walker.visit(FILTERED)
    assert visit.outcome == "pagination"
    assert words in visit.steps[-1][0].reason
    assert {row["id"] for row in framework.rows} == set(visit.ids)
    assert not any(step.is_complete for _, step in visit.steps)


@pytest.mark.faults(19)
@pytest.mark.parametrize(("end", "page"), [("clamped", 2), ("repeated", 3)])
def test_a_server_that_repeats_its_first_page_is_a_fault(
    framework: Framework, walker: Walker, end: str, page: int
) -> None:
    """It returns its first page for every request, so later rows are missing."""
    framework.rows, framework.end = ledger(10), end
    visit = walker.visit(FILTERED)
    assert visit.outcome == "pagination"
    assert visit.steps[-1][0].reason == (
        f"page {page} of /listing has the rows of page 1 once more, and nothing says that these are all; "
        "the walk ends there"
    )
    # Fewer rows than requested are complete.
    framework.rows = ledger(9)
    assert walker.visit(FILTERED).outcome == "ok"


def test_a_link_that_sets_another_page_size_keeps_it_and_the_order_is_still_proven(
    framework: Framework, walker: Walker
) -> None:
    framework.rows = ledger(60)

    def small(page: int) -> Response | None:
        if page == 1:
            return None
        rows = framework.rows[(page - 1) * 4 : page * 4]
        link = f"{framework.url}{PATH}?per_page=4&page={page + 1}" if page * 4 < 60 else None
        return Response(json.dumps({"data": rows, "links": {"next": link}}), content_type="application/json")

    framework.keeps = ("per_page",)
    framework.before = small
    visit = walker.visit(FILTERED)
    assert set(visit.ids) == {row["id"] for row in framework.rows}
    assert visit.resume.is_newest_first
    assert framework.asked[-1]["per_page"] == "4"


def test_400_entries_cost_four_requests_first_and_fewer_afterwards(framework: Framework, walker: Walker) -> None:
    framework.rows = [entry(TODAY - timedelta(days=place // 4), place, hour=23 - place % 4) for place in range(400)]
    hundred = replace(FILTERED, params={**FILTERED.params, "per_page": "100"})
    assert len(walker.visit(hundred).ids) == 400
    assert len(framework.asked) == 4
    for _ in range(3):
        framework.asked.clear()
        visit = walker.visit(hundred)
        # Four entries a day, and 35 days back.
        assert len(framework.asked) == 2
        assert visit.steps[-1][1].is_complete


@pytest.mark.parametrize(
    ("link", "query"),
    [
        ("?page=2", {"page": "2", "per_page": "10", "filter[status]": "paid,open"}),
        ("?page=2&per_page=7", {"page": "2", "per_page": "7", "filter[status]": "paid,open"}),
        ("?page=2&per_page=", {"page": "2", "per_page": "", "filter[status]": "paid,open"}),
        ("?page=2&filter%5Bstatus%5D=all", {"page": "2", "per_page": "10", "filter[status]": "all"}),
        ("?page=2&filter[status][]=all", {"page": "2", "per_page": "10", "filter[status][]": "all"}),
        ("?cursor=eyJ%2Bw%3D%3D", {"cursor": "eyJ+w==", "per_page": "10", "filter[status]": "paid,open"}),
        ("?page[cursor]=x&per_page=10", {"page[cursor]": "x", "per_page": "10", "filter[status]": "paid,open"}),
        ("/listing/more/abc", {"per_page": "10", "filter[status]": "paid,open"}),
        ("/listing?page=2#top", {"page": "2", "per_page": "10", "filter[status]": "paid,open"}),
    ],
)  # fmt: skip
def test_parameters_of_a_link_win_and_dropped_ones_are_added(
    httpserver: HTTPServer, tmp_path: Path, link: str, query: dict[str, str]
) -> None:
    seen: list[str] = []

    def answer(request: Request) -> Response:
        seen.append(request.full_path)
        body = {"data": [entry(TODAY, len(seen))], "links": {"next": link if len(seen) == 1 else None}}
        return Response(json.dumps(body), content_type="application/json")

    httpserver.expect_request(PATH).respond_with_handler(answer)
    httpserver.expect_request(f"{PATH}/more/abc").respond_with_handler(answer)
    visit = Walker(httpserver.url_for("").rstrip("/"), tmp_path / "landing").visit(FILTERED)
    assert visit.outcome == "ok"
    asked = parse_qs(urlsplit(seen[1]).query, keep_blank_values=True)
    assert {name: values[0] for name, values in asked.items()} == query
    assert all(len(values) == 1 for values in asked.values())
    if "cursor=" in link:
        # A cursor is kept as the vendor wrote it.
        assert link.partition("?")[2].partition("&")[0] in seen[1]


@pytest.mark.faults(19)
def test_the_rows_of_a_page_that_ends_in_a_fault_are_in_the_ledger(vendor: Vendor, workshop: Workshop) -> None:
    walker = Walker(vendor.url, workshop.home.landing)
    vendor.rows = ledger(30)
    vendor.next_link = lambda page: f"{vendor.url}/ledger?page={page % 3 + 1}"
    assert walker.visit(replace(FILTERED, path="/ledger")).outcome == "pagination"
    workshop.load()
    assert workshop.rows("SELECT count(*) FROM staging.ledger_entries") == [(30,)]
