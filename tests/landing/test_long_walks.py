"""Listings with more pages than one run has time for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from pipeline.landing.budget import Budget
from pipeline.landing.listing_walk import Resume, Span, Unfinished
from tests.landing.listings import FILTERED, Framework
from tests.landing.walking import TODAY, USAGE, Vendor, Walker, ledger


def test_a_listing_that_is_longer_than_a_run_is_walked_by_several(framework: Framework, walker: Walker) -> None:
    framework.rows = ledger(95)
    walker.budget = Budget(requests=4)
    first = walker.visit(FILTERED)
    assert first.outcome == "pagination"
    reason = "/listing: the run's limit of 4 requests for it was reached; the next run continues from there"
    assert first.steps[-1][0].reason == reason
    assert first.ids == [row["id"] for row in framework.rows[:40]]
    left = first.resume.unfinished
    assert left is not None
    assert (left.page_number, left.begun_on, left.from_date, left.is_falling) == (4, TODAY, None, True)
    # New entries push the others down meanwhile; each run also reads the first page.
    framework.rows = ledger(97, until=TODAY + timedelta(days=2))
    visits = [walker.visit(FILTERED, today=TODAY + timedelta(days=day)) for day in (2, 3)]
    assert [visit.outcome for visit in visits] == ["pagination", "pagination"]
    assert all(visit.ids[:10] == [row["id"] for row in framework.rows[:10]] for visit in visits)
    last = walker.visit(FILTERED, today=TODAY + timedelta(days=4))
    assert (last.outcome, last.steps[-1][1].is_complete) == ("ok", True)
    every = {row_id for visit in (first, *visits, last) for row_id in visit.ids}
    assert every == {row["id"] for row in framework.rows}
    # Entries after the start of the walk are requested by the next one: the walk is a proof up to its first day only.
    assert last.spans[-1] == (None, TODAY)
    assert last.resume == Resume(seen_through=TODAY, is_newest_first=True)
    walker.budget = Budget()
    assert walker.visit(FILTERED, today=TODAY + timedelta(days=5)).spans[0][0] == TODAY - timedelta(days=35)


def test_rows_that_move_up_between_two_runs_are_not_missed(framework: Framework, walker: Walker) -> None:
    framework.rows = ledger(65)
    walker.budget = Budget(requests=3)
    ids = walker.visit(FILTERED).ids
    del framework.rows[5:12]
    for _ in range(5):
        visit = walker.visit(FILTERED)
        ids += visit.ids
    assert visit.outcome == "ok"
    assert set(ids) >= {row["id"] for row in framework.rows}


def test_a_short_outage_does_not_lose_a_walk_over_several_runs(framework: Framework, walker: Walker) -> None:
    framework.rows = ledger(95)
    walker.budget = Budget(requests=6)
    walker.visit(FILTERED)
    framework.before = lambda page: Response(status=503)
    assert walker.visit(FILTERED).outcome == "server_error"
    framework.before = lambda page: Response(status=503) if page == 8 else None
    assert walker.visit(FILTERED).outcome == "server_error"
    framework.before = lambda page: None
    visit = walker.visit(FILTERED)
    assert visit.outcome == "ok"
    assert [step.page_number for _, step in visit.steps] == [1, 6, 7, 8, 9, 10]


def test_a_place_to_go_on_from_that_is_gone_begins_the_walk_again(framework: Framework, walker: Walker) -> None:
    framework.rows = ledger(95)
    walker.budget = Budget(requests=6)
    walker.visit(FILTERED)
    framework.before = lambda page: Response(status=410) if page == 6 else None
    assert walker.visit(FILTERED).resume.unfinished is None
    framework.before = lambda page: None
    assert [step.page_number for _, step in walker.visit(FILTERED).steps][:3] == [1, 2, 3]


def test_a_listing_whose_order_broke_in_an_earlier_run_is_not_called_ordered(
    framework: Framework, walker: Walker
) -> None:
    framework.rows = [*ledger(5, until=TODAY - timedelta(days=300)), *ledger(60)]
    walker.budget = Budget(requests=4)
    outcomes = []
    while not outcomes or outcomes[-1] != "ok":
        visit = walker.visit(FILTERED)
        outcomes.append(visit.outcome)
    assert len(outcomes) > 1
    assert visit.resume == Resume(seen_through=TODAY, is_newest_first=False)


def test_a_backfill_reads_a_long_listing_in_one_run(framework: Framework, walker: Walker) -> None:
    framework.rows = ledger(95)
    walker.budget = Budget(requests=4, backfill_requests=50)
    walker.visit(FILTERED)
    visit = walker.visit(FILTERED, wanted=Span(from_date=TODAY - timedelta(days=400), to_date=TODAY))
    assert visit.outcome == "ok"
    assert visit.ids[10:] == [row["id"] for row in framework.rows[30:]]


@pytest.mark.faults(9)
def test_a_listing_without_answers_ends_with_the_runs_time_and_each_run_advances(
    framework: Framework, walker: Walker
) -> None:
    """Two answers are awaited, whatever the budget."""
    framework.rows = ledger(45)
    walker.budget = Budget(seconds=0.0)
    pages = []
    while True:
        visit = walker.visit(FILTERED)
        pages.append([step.page_number for answer, step in visit.steps if answer.outcome == "ok"])
        if visit.outcome == "ok":
            break
        assert "the run's limit of 0 s for it was reached after 2 requests" in visit.steps[-1][0].reason
    assert pages == [[1, 2], [1, 2], [1, 3], [1, 4], [1, 5]]
    assert visit.resume == Resume(seen_through=TODAY, is_newest_first=True)


@pytest.mark.faults(9)
def test_an_answer_that_is_still_awaited_when_the_time_is_over_is_given_up(
    framework: Framework, walker: Walker
) -> None:
    framework.rows = ledger(45)
    released = Event()

    def hang(page: int) -> None:
        if page == 3:
            released.wait(30)

    framework.before = hang
    walker.budget = Budget(seconds=0.3)
    visit = walker.visit(FILTERED)
    released.set()
    # The client alone would have waited for a second, and reported `timeout`.
    assert visit.outcome == "pagination"
    assert visit.ids == [row["id"] for row in framework.rows[:20]]


def test_windows_continue_where_the_runs_budget_ended(httpserver: HTTPServer, tmp_path: Path) -> None:
    vendor = Vendor(httpserver)
    walker = Walker(vendor.url, tmp_path / "landing", history_days=200, budget=Budget(requests=3, backfill_requests=4))
    first = walker.visit(USAGE)
    assert (first.outcome, len(first.spans)) == ("pagination", 3)
    assert first.steps[-1][0].reason.endswith("the next run continues from there")
    second = walker.visit(USAGE)
    third = walker.visit(USAGE)
    assert (second.outcome, third.outcome) == ("pagination", "ok")
    days = [span for visit in (first, second, third) for span in visit.spans]
    assert min(first for first, _ in days if first) == TODAY - timedelta(days=200)
    assert max(last for _, last in days if last) == TODAY
    assert third.resume.seen_through == min(TODAY, datetime.now(UTC).date())
    backfill = walker.visit(USAGE, wanted=Span(from_date=TODAY - timedelta(days=200), to_date=TODAY))
    assert backfill.steps[-1][0].reason.endswith(f"repeat the backfill from {TODAY - timedelta(days=80)} on")


@pytest.mark.faults(19)
def test_a_listing_that_is_endless_over_all_runs_ends_at_the_cap(framework: Framework, walker: Walker) -> None:
    framework.rows = ledger(400)
    walker.budget = Budget(requests=4)
    capped = replace(FILTERED, page_cap=9)
    reasons = [walker.visit(capped).steps[-1][0].reason for _ in range(4)]
    assert reasons[-1] == "/listing has more than 9 pages; the walk ends there"
    assert all("continues from there" in reason for reason in reasons[:-1])


def test_a_state_of_a_walk_in_several_runs_is_read_back_as_it_was_landed() -> None:
    state = Resume(unfinished=Unfinished(link="https://x/y?page=3", page_number=3, begun_on=TODAY, is_falling=True))
    assert Resume.from_json(state.to_json()) == state
