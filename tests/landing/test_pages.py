"""Listings in pages, walked over a real socket."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from pipeline.landing.listing_walk import Resume, Span
from pipeline.vendors._port import Pages
from tests.landing.walking import LEDGER, TODAY, Vendor, Walker, entry, ledger
from tests.staging.landed import Workshop


@pytest.fixture
def vendor(httpserver: HTTPServer) -> Vendor:
    return Vendor(httpserver)


@pytest.fixture
def walker(vendor: Vendor, tmp_path: Path) -> Walker:
    return Walker(vendor.url, tmp_path / "landing")


def test_three_pages_are_read_to_the_end_and_the_last_completes_the_walk(vendor: Vendor, walker: Walker) -> None:
    vendor.rows = ledger(25)
    visit = walker.visit(LEDGER)
    assert visit.outcome == "ok"
    assert visit.ids == [row["id"] for row in vendor.rows]
    assert [step.page_number for _, step in visit.steps] == [1, 2, 3]
    assert [step.is_complete for _, step in visit.steps] == [False, False, True]
    assert visit.resume == Resume(seen_through=TODAY, is_newest_first=True)
    assert vendor.request_count == 3


def test_one_page_and_an_empty_listing_are_walks_too(vendor: Vendor, walker: Walker) -> None:
    vendor.rows = [entry(TODAY)]
    visit = walker.visit(LEDGER)
    assert (visit.outcome, visit.ids, len(visit.steps)) == ("ok", [f"{TODAY}-0"], 1)
    # A single time shows no order.
    assert visit.resume == Resume(seen_through=TODAY, is_newest_first=False)
    vendor.rows = []
    assert walker.visit(LEDGER).steps[-1][1].is_complete


@pytest.mark.faults(19)
@pytest.mark.parametrize("cycle", [[2, 1], [2, 3, 2], [2, 3, 1]], ids=["1-2-1", "1-2-3-2", "1-2-3-1"])
def test_a_cyclic_listing_ends_and_moves_no_watermark(vendor: Vendor, walker: Walker, cycle: list[int]) -> None:
    vendor.rows = ledger(60)
    vendor.next_link = lambda page: f"{vendor.url}/ledger?page={cycle[min(page, len(cycle)) - 1]}"
    visit = walker.visit(LEDGER)
    assert visit.outcome == "pagination"
    assert "cyclic" in visit.steps[-1][0].reason
    assert vendor.request_count == len(cycle)
    # The pages' rows are landed as received, the last one's too, and the fault is landed after them.
    assert visit.ids == [row["id"] for row in vendor.rows[: 10 * len(cycle)]]
    assert not any(step.is_complete for _, step in visit.steps)
    assert visit.resume == Resume()


@pytest.mark.faults(19)
def test_an_endless_listing_ends_at_the_cap(vendor: Vendor, walker: Walker) -> None:
    vendor.rows = ledger(100)
    vendor.next_link = lambda page: f"{vendor.url}/ledger?page={page + 1}"
    capped = Pages(path="/ledger", newest_first_by="created_at", look_back_days=35, page_cap=5)
    visit = walker.visit(capped)
    assert visit.outcome == "pagination"
    assert visit.steps[-1][0].reason == "/ledger has more than 5 pages; the walk ends there"
    assert vendor.request_count == 5
    assert visit.resume == Resume()


@pytest.mark.faults(18)
@pytest.mark.parametrize(
    "elsewhere",
    [
        lambda url, _: url.replace("localhost", "127.0.0.1") + "/ledger?page=2",
        lambda url, _: url.replace("http://", "https://") + "/ledger?page=2",
        lambda url, _: url.replace("http://", "http://user@") + "/ledger?page=2",
        lambda _, other: f"{other}/ledger?page=2",
        lambda _, other: f"//{other.removeprefix('http://')}/ledger?page=2",
        lambda url, other: f"{url}\\@{other.removeprefix('http://')}/ledger?page=2",
    ],
    ids=["host", "scheme", "user", "port", "without scheme", "backslash"],
)
def test_a_link_to_another_origin_is_not_followed(
    vendor: Vendor, walker: Walker, elsewhere: Callable[[str, str], str]
) -> None:
    with HTTPServer() as other:
        other.expect_request("/ledger").respond_with_json({"data": [entry(TODAY, 9)], "links": {"next": None}})
        vendor.rows = ledger(5)
        vendor.next_link = lambda page: elsewhere(vendor.url, other.url_for("").rstrip("/"))
        visit = walker.visit(LEDGER)
        assert visit.outcome == "foreign_origin"
        assert len(other.log) == 0
    assert vendor.request_count == 1
    assert visit.resume == Resume()
    assert "canary-key" not in repr(visit.steps)


@pytest.mark.parametrize("link", [5, ["/ledger?page=2"], {"href": "/ledger?page=2"}, True])
def test_a_next_that_is_no_link_ends_the_walk(vendor: Vendor, walker: Walker, link: object) -> None:
    vendor.rows = ledger(5)
    vendor.next_link = lambda page: link
    visit = walker.visit(LEDGER)
    assert visit.outcome == "pagination"
    assert "is not a link" in visit.steps[-1][0].reason


def test_a_relative_link_is_read_from_the_page_that_holds_it(vendor: Vendor, walker: Walker) -> None:
    vendor.rows = ledger(25)
    vendor.next_link = lambda page: f"?page={page + 1}" if page < 3 else None
    assert len(walker.visit(LEDGER).ids) == 25
    vendor.next_link = lambda page: f"/ledger?page={page + 1}" if page < 3 else None
    assert len(walker.visit(LEDGER, today=TODAY + timedelta(days=100)).ids) == 25


def test_the_first_failure_ends_the_walk_and_the_next_run_starts_again(vendor: Vendor, walker: Walker) -> None:
    vendor.rows = ledger(45)
    vendor.before_page = lambda page: Response(status=503) if page == 3 else None
    visit = walker.visit(LEDGER)
    assert visit.outcome == "server_error"
    assert [str(answer.outcome) for answer, _ in visit.steps] == ["ok", "ok", "server_error"]
    assert visit.resume == Resume()
    vendor.before_page = lambda page: None
    again = walker.visit(LEDGER)
    assert len(again.ids) == 45
    assert again.resume.seen_through == TODAY


def test_once_the_order_is_proven_a_walk_ends_35_days_back(vendor: Vendor, walker: Walker) -> None:
    vendor.rows = ledger(200)
    assert len(walker.visit(LEDGER).ids) == 200
    vendor.rows = ledger(201, until=TODAY + timedelta(days=1))
    visit = walker.visit(LEDGER, today=TODAY + timedelta(days=1))
    # Back to 35 days before the day seen, and to the end of that day's page.
    assert len(visit.ids) == 40
    assert visit.spans == [(TODAY - timedelta(days=35), TODAY + timedelta(days=1))] * 4
    assert visit.steps[-1][1].is_complete
    assert visit.resume == Resume(seen_through=TODAY + timedelta(days=1), is_newest_first=True)


def _oldest_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return rows[::-1]


def _naive(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"created_at": row["created_at"].rstrip("Z")} for row in rows]


def _one_without(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*rows[:-1], {key: value for key, value in rows[-1].items() if key != "created_at"}]


def _two_spellings(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*rows[:-1], rows[-1] | {"created_at": rows[-1]["created_at"].replace("Z", ".000Z")}]


def _one_out_of_place(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*rows[1:], rows[0]]


@pytest.mark.parametrize("spoil", [_oldest_first, _naive, _one_without, _two_spellings, _one_out_of_place])
def test_a_listing_whose_order_is_not_proven_is_always_read_whole(
    vendor: Vendor, walker: Walker, spoil: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> None:
    vendor.rows = spoil(ledger(100))
    for day in range(3):
        visit = walker.visit(LEDGER, today=TODAY + timedelta(days=day))
        assert len(visit.ids) == 100
        assert not visit.resume.is_newest_first


def test_a_listing_that_loses_its_order_is_read_whole_from_then_on(vendor: Vendor, walker: Walker) -> None:
    vendor.rows = ledger(200)
    walker.visit(LEDGER)
    # An old entry at the top: the proven order no longer applies.
    vendor.rows = [entry(date(2025, 1, 1)), *vendor.rows]
    assert len(walker.visit(LEDGER).ids) == 201
    vendor.rows = ledger(200)
    assert len(walker.visit(LEDGER).ids) == 200
    assert len(walker.visit(LEDGER).ids) == 40


def test_after_an_outage_the_walk_reaches_back_behind_the_last_day_seen(vendor: Vendor, walker: Walker) -> None:
    vendor.rows = ledger(200)
    walker.visit(LEDGER)
    later = TODAY + timedelta(days=90)
    vendor.before_page = lambda page: Response(status=500)
    for day in range(80, 90):
        walker.visit(LEDGER, today=TODAY + timedelta(days=day))
    vendor.before_page = lambda page: None
    vendor.rows = ledger(290, until=later)
    visit = walker.visit(LEDGER, today=later)
    assert visit.spans[0] == (TODAY - timedelta(days=35), later)
    days = {row_id[:10] for row_id in visit.ids}
    assert days >= {str(TODAY + timedelta(days=day)) for day in range(-35, 91)}


def test_a_backfill_reads_further_back_only_once(vendor: Vendor, walker: Walker) -> None:
    vendor.rows = ledger(200)
    walker.visit(LEDGER)
    wanted = Span(from_date=TODAY - timedelta(days=150), to_date=TODAY - timedelta(days=140))
    visit = walker.visit(LEDGER, wanted=wanted)
    assert {str(TODAY - timedelta(days=day)) for day in range(140, 151)} <= {row_id[:10] for row_id in visit.ids}
    assert len(visit.ids) < 200
    assert len(walker.visit(LEDGER).ids) == 40


@pytest.mark.faults(38)
def test_a_clock_that_ran_ahead_makes_no_walk_stop_early(vendor: Vendor, walker: Walker) -> None:
    # The server's Date header determines the day.
    today = datetime.now(UTC).date()
    vendor.rows = ledger(200, until=today)
    ahead = walker.visit(LEDGER, today=today + timedelta(days=60))
    assert ahead.resume.seen_through in (today, datetime.now(UTC).date())
    visit = walker.visit(LEDGER, today=today)
    assert visit.spans[0] == (today - timedelta(days=35), today)
    assert {row_id[:10] for row_id in visit.ids} >= {str(today - timedelta(days=day)) for day in range(36)}


@pytest.mark.faults(21)
@pytest.mark.parametrize("change", ["a row more", "a row less"])
def test_rows_that_shift_between_pages_are_all_there_after_the_next_run(
    vendor: Vendor, workshop: Workshop, change: str
) -> None:
    walker = Walker(vendor.url, workshop.home.landing)
    vendor.rows = ledger(30)

    def shift(page: int) -> None:
        if page == 2 and len(vendor.rows) == 30:
            vendor.rows = [entry(TODAY, 1), *vendor.rows] if change == "a row more" else vendor.rows[1:]

    vendor.before_page = shift
    first = walker.visit(LEDGER)
    # A row appears twice, and the newest is not seen; or a row in the middle is skipped.
    assert set(first.ids) != {row["id"] for row in vendor.rows}
    workshop.load()
    visit = walker.visit(LEDGER, today=TODAY + timedelta(days=1))
    assert visit.outcome == "ok"
    workshop.load()
    held = {row[0] for row in workshop.rows("SELECT entry_id FROM staging.ledger_entries")}
    assert held >= {row["id"] for row in vendor.rows}
    [(count,)] = workshop.rows("SELECT count(*) FROM staging.ledger_entries")
    assert count == len(held)


@pytest.mark.faults(22)
def test_an_empty_listing_where_rows_were_keeps_them_and_is_read_whole_afterwards(
    vendor: Vendor, workshop: Workshop
) -> None:
    walker = Walker(vendor.url, workshop.home.landing)
    vendor.rows = ledger(100)
    walker.visit(LEDGER)
    vendor.rows = []
    empty = walker.visit(LEDGER, today=TODAY + timedelta(days=1))
    assert (empty.outcome, empty.ids) == ("ok", [])
    workshop.load()
    assert workshop.rows("SELECT count(*) FROM staging.ledger_entries") == [(100,)]
    vendor.rows = ledger(102, until=TODAY + timedelta(days=2))
    assert len(walker.visit(LEDGER, today=TODAY + timedelta(days=2)).ids) == 102


@pytest.mark.faults(20)
def test_a_repeated_page_is_stored_once(vendor: Vendor, workshop: Workshop) -> None:
    walker = Walker(vendor.url, workshop.home.landing)
    vendor.rows = [*ledger(10), *ledger(10), *ledger(10, until=TODAY - timedelta(days=10))]
    assert len(walker.visit(LEDGER).ids) == 30
    report = workshop.load()
    assert (report.received, report.accepted) == (30, 30)
    assert workshop.rows("SELECT count(*) FROM staging.ledger_entries") == [(20,)]
