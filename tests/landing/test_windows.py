"""Listings by days: which days are requested, over a real socket; and none is ever skipped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.http import HttpOutcome, HttpResult
from pipeline.landing.listing_walk import Resume, Span, Step, Walk
from pipeline.vendors._port import Once, Window
from tests.landing.walking import TODAY, USAGE, Vendor, Visit, Walker


@pytest.fixture
def vendor(httpserver: HTTPServer) -> Vendor:
    return Vendor(httpserver)


@pytest.fixture
def walker(vendor: Vendor, tmp_path: Path) -> Walker:
    return Walker(vendor.url, tmp_path / "landing", history_days=70)


def _day(days: int) -> date:
    return TODAY + timedelta(days=days)


def test_the_first_walk_requests_the_whole_history_in_chunks_without_gap_or_overlap(walker: Walker) -> None:
    visit = walker.visit(USAGE)
    assert visit.spans == [(_day(-70), _day(-41)), (_day(-40), _day(-11)), (_day(-10), TODAY)]
    assert all(step.is_complete for _, step in visit.steps)
    assert visit.resume.seen_through == TODAY


def test_later_walks_look_back_a_little_for_restatements(walker: Walker) -> None:
    walker.visit(USAGE)
    assert walker.visit(USAGE).spans == [(_day(-3), TODAY)]
    assert walker.visit(USAGE, today=_day(1)).spans == [(_day(-3), _day(1))]
    assert walker.visit(USAGE, today=_day(11)).spans == [(_day(-2), _day(11))]


def test_after_an_outage_the_walk_starts_from_the_last_answered_day(vendor: Vendor, walker: Walker) -> None:
    walker.visit(USAGE)
    vendor.before_days = lambda first, last: Response(status=500)
    for day in range(1, 50, 7):
        failed = walker.visit(USAGE, today=_day(day))
        assert (failed.outcome, failed.resume.seen_through) == ("server_error", TODAY)
    vendor.before_days = lambda first, last: None
    visit = walker.visit(USAGE, today=_day(50))
    assert visit.spans == [(_day(-3), _day(26)), (_day(27), _day(50))]


def test_the_first_failure_ends_the_walk_and_the_next_run_continues_there(vendor: Vendor, walker: Walker) -> None:
    vendor.before_days = lambda first, last: Response(status=500) if first == str(_day(-40)) else None
    visit = walker.visit(USAGE)
    assert visit.outcome == "server_error"
    assert vendor.request_count == 2
    # Answered days are not requested again, except for the look-back.
    assert visit.resume.seen_through == _day(-41)
    vendor.before_days = lambda first, last: None
    again = walker.visit(USAGE)
    assert again.spans[0][0] == _day(-44)
    assert again.spans[-1][1] == TODAY


def test_a_backfill_requests_its_days_and_does_not_move_the_watermark(walker: Walker) -> None:
    walker.visit(USAGE, today=_day(-20))
    wanted = Span(from_date=date(2025, 1, 1), to_date=date(2025, 2, 14))
    visit = walker.visit(USAGE, wanted=wanted)
    assert visit.spans == [
        (date(2025, 1, 1), date(2025, 1, 30)), (date(2025, 1, 31), date(2025, 2, 14)),
    ]  # fmt: skip
    assert visit.resume.seen_through == _day(-20)
    # The days in between are requested by the next ordinary run.
    assert walker.visit(USAGE).spans == [(_day(-23), TODAY)]


def test_a_backfill_before_the_first_run_leaves_the_whole_history_to_it(walker: Walker) -> None:
    visit = walker.visit(USAGE, wanted=Span(from_date=_day(-5), to_date=_day(-5)))
    assert visit.spans == [(_day(-5), _day(-5))]
    assert walker.visit(USAGE).spans[0][0] == _day(-70)


def test_a_backfill_reaches_no_further_than_today(walker: Walker) -> None:
    assert walker.visit(USAGE, wanted=Span(from_date=_day(-1), to_date=_day(9))).spans == [(_day(-1), TODAY)]
    assert walker.visit(USAGE, wanted=Span(from_date=_day(3))).spans == [(TODAY, TODAY)]


@pytest.mark.faults(38)
def test_a_clock_a_day_ahead_skips_no_day(walker: Walker) -> None:
    walker.visit(USAGE, today=_day(1))
    assert walker.visit(USAGE).spans == [(_day(-3), TODAY)]
    assert walker.visit(USAGE, today=_day(10)).spans[0][0] <= TODAY


@pytest.mark.faults(38)
def test_the_servers_date_bounds_the_watermark_of_a_clock_ahead(walker: Walker) -> None:
    today = datetime.now(UTC).date()
    ahead = walker.visit(USAGE, today=today + timedelta(days=25))
    assert ahead.resume.seen_through in (today, datetime.now(UTC).date())
    # Weeks without a run after that, and there is still no gap between read and requested days.
    assert walker.visit(USAGE, today=today + timedelta(days=40)).spans[0][0] <= today


def test_one_complete_answer_is_a_walk(vendor: Vendor, walker: Walker) -> None:
    vendor.server.expect_request("/once").respond_with_json({"balance": 1})
    visit = walker.visit(Once(path="/once"))
    assert [(step.page_number, step.is_complete, step.span) for _, step in visit.steps] == [(1, True, Span())]
    vendor.server.clear()
    failed = walker.visit(Once(path="/once"), today=_day(1))
    assert (failed.outcome, failed.steps[0][1].is_complete) == ("server_error", False)
    assert failed.resume.seen_through == TODAY


@dataclass
class _Asks:
    """Answers windows from memory: good, or a failure by the script. Records the answered days."""

    today: date
    fails: list[bool]
    days: set[date] = field(default_factory=set)
    queued_seconds: float = 0.0

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> HttpResult:
        assert params is not None
        first, last = date.fromisoformat(params["from"]), date.fromisoformat(params["to"])
        assert first <= last
        if self.fails and self.fails.pop():
            return HttpResult(url=path, outcome=HttpOutcome.timeout, reason="no answer")
        # A future day cannot be answered.
        self.days |= {first + timedelta(days=day) for day in range((min(last, self.today) - first).days + 1)}
        now = datetime(self.today.year, self.today.month, self.today.day, tzinfo=UTC)
        return HttpResult(url=path, outcome=HttpOutcome.ok, reason="", payload={}, date=now)

    async def follow(
        self, link: str, *, page_url: str | None = None, params: Mapping[str, str] | None = None
    ) -> HttpResult:
        raise AssertionError("windows have no links")


_RUN = st.fixed_dictionaries(
    {
        "gap_days": st.integers(0, 60),
        "clock_days": st.sampled_from([0, 0, 0, 0, 1, -1, 30]),
        "fails": st.lists(st.booleans(), max_size=4),
        "backfill": st.sampled_from([None, None, None, (-90, -80), (-3, 0), (5, 9)]),
    }
)


@pytest.mark.faults(38)
@settings(max_examples=200, deadline=None)
@given(
    runs=st.lists(_RUN, min_size=1, max_size=8), chunk=st.sampled_from([1, 4, 30, 92]), daily=st.sampled_from([0, 31])
)
def test_no_day_is_ever_skipped(runs: list[dict[str, object]], chunk: int, daily: int) -> None:
    """Outages, failures in mid-walk, backfills, a wrong clock: once a run succeeds, every earlier day has been read."""
    listing = Window(
        path="/usage", from_param="from", to_param="to", look_back_days=3, daily_look_back_days=daily, chunk_days=chunk
    )
    resume, today, read_days = Resume(), TODAY, set[date]()
    first: date | None = None
    for run in runs:
        today += timedelta(days=run["gap_days"])  # type: ignore[arg-type]
        clock = today + timedelta(days=run["clock_days"])  # type: ignore[arg-type]
        asks = _Asks(today, list(run["fails"]), read_days)  # type: ignore[call-overload]
        visit = Visit()

        def land(answer: HttpResult, step: Step, visit: Visit = visit) -> None:
            visit.steps.append((answer, step))

        wanted = Span()
        if run["backfill"]:
            wanted = Span(
                from_date=clock + timedelta(days=run["backfill"][0]), to_date=clock + timedelta(days=run["backfill"][1])
            )  # type: ignore[index]
        walk = Walk(asks=asks, land=land, resume=resume, today=clock, history_days=70, wanted=wanted)
        last = asyncio.run(walk.run(listing))
        resume = Resume.from_json(visit.resume.to_json())
        if wanted == Span() and resume.seen_through is not None:
            # History begins where the first successful request began, by its clock.
            first = first or clock - timedelta(days=70)
        if wanted == Span() and last.outcome is HttpOutcome.ok:
            assert first is not None
            until = min(clock, today)
            missing = {first + timedelta(days=day) for day in range((until - first).days + 1)} - read_days
            assert not missing, f"{min(missing)} to {max(missing)} were never asked for"


# -- windows of instants, one day a request, and with pages -------------------------------------------------------

BILLED = Window(
    path="/usage",
    from_param="from",
    to_param="to",
    bounds="instants",
    params={"of": "all"},
    look_back_days=3,
    daily_look_back_days=10,
    chunk_days=1,
    history_days=20,
)


def _days(first: int, last: int) -> list[tuple[date, date]]:
    return [(_day(day), _day(day)) for day in range(first, last + 1)]


def test_a_day_is_requested_from_its_midnight_to_the_next(vendor: Vendor, walker: Walker) -> None:
    asked: list[tuple[str, str]] = []
    vendor.before_days = lambda first, last: asked.append((first, last))
    walker.visit(BILLED, wanted=Span(from_date=date(2026, 2, 28), to_date=date(2026, 3, 1)))
    assert asked == [
        ("2026-02-28T00:00:00", "2026-03-01T00:00:00"), ("2026-03-01T00:00:00", "2026-03-02T00:00:00"),
    ]  # fmt: skip
    assert all("of=all" in str(request.query_string) for request, _ in vendor.server.log)


def test_a_first_walk_looks_back_no_further_than_the_listing_allows(walker: Walker) -> None:
    assert walker.visit(BILLED).spans == _days(-20, 0)
    # A backfill is requested explicitly, and is not cut short.
    assert walker.visit(BILLED, wanted=Span(from_date=_day(-40), to_date=_day(-1))).spans == _days(-40, -1)


def test_the_first_walk_of_each_day_looks_back_further_than_the_others(walker: Walker) -> None:
    walker.visit(BILLED)
    assert walker.visit(BILLED).spans == _days(-3, 0)
    assert walker.visit(BILLED, today=_day(1)).spans == _days(-10, 1)
    assert walker.visit(BILLED, today=_day(1)).spans == _days(-2, 1)


def test_a_failure_in_the_long_look_back_does_not_move_the_watermark_back(vendor: Vendor, walker: Walker) -> None:
    walker.visit(BILLED)
    vendor.before_days = lambda first, last: Response(status=500) if first == f"{_day(-4)}T00:00:00" else None
    for _ in range(3):
        failed = walker.visit(BILLED, today=_day(1))
        assert (failed.spans, failed.resume.seen_through) == (_days(-10, -5), TODAY)
    vendor.before_days = lambda first, last: None
    assert walker.visit(BILLED, today=_day(1)).spans == _days(-10, 1)
    assert walker.visit(BILLED, today=_day(1)).spans == _days(-2, 1)


PAGED = Window(
    path="/paged",
    from_param="from",
    to_param="to",
    look_back_days=1,
    chunk_days=1,
    page_param="page",
    page_count_at="paging.pages",
    page_cap=3,
)


def _paged(vendor: Vendor, pages: dict[str, object], broken_page: int | None = None) -> None:
    def answer(request: Request) -> Response:
        first, page = request.args["from"], int(request.args["page"])
        if page == broken_page:
            return Response(status=500)
        body = {"paging": {"pages": pages.get(first, 1)}, "data": [{"id": f"{first} {page}"}]}
        return Response(json.dumps(body), content_type="application/json")

    vendor.server.expect_request("/paged").respond_with_handler(answer)


def test_a_window_in_pages_is_complete_with_its_last_page(vendor: Vendor, walker: Walker) -> None:
    _paged(vendor, {str(_day(-1)): 3, str(TODAY): 0})
    visit = walker.visit(PAGED, wanted=Span(from_date=_day(-1)))
    assert visit.ids == [f"{_day(-1)} 1", f"{_day(-1)} 2", f"{_day(-1)} 3", f"{TODAY} 1"]
    assert [step.is_complete for _, step in visit.steps] == [False, False, True, True]
    assert [step.page_number for _, step in visit.steps] == [1, 2, 3, 4]


def test_a_window_whose_second_page_fails_was_not_seen(vendor: Vendor, walker: Walker) -> None:
    _paged(vendor, {str(_day(-69)): 2}, broken_page=2)
    visit = walker.visit(PAGED)
    assert (visit.outcome, visit.resume.seen_through) == ("server_error", _day(-70))


@pytest.mark.parametrize("count", [None, "three", "-1", 3.5, True, -1, 4, "4", 10**9])
def test_a_window_without_a_sensible_number_of_pages_ends_the_walk(
    vendor: Vendor, walker: Walker, count: object
) -> None:
    _paged(vendor, {str(TODAY): count})
    visit = walker.visit(PAGED, wanted=Span(from_date=TODAY))
    assert (visit.outcome, len(visit.steps), visit.steps[-1][1].is_complete) == ("pagination", 1, False)
    assert "/paged" in visit.steps[-1][0].reason
