"""Walks as runs make them: the real client against a real socket, answers landed, the next run resuming from there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.http import Client, HttpResult, Network, Patience, RateLimit, RateLimits
from pipeline.landing.budget import Budget
from pipeline.landing.listing_walk import Resume, Span, Step, Walk
from pipeline.landing.store import LandingWriter, resume_states
from pipeline.support.secret import Secret
from pipeline.vendors._port import Once, Pages, Window
from tests.staging.landed import Landing

HURRIED = Patience(
    deadline_seconds=5, connect_timeout_seconds=1, read_timeout_seconds=1, attempts=1, backoff_seconds=0.01
)
TODAY = date(2026, 3, 18)
LEDGER = Pages(path="/ledger", params={"page": "1"}, newest_first_by="created_at", look_back_days=35)
USAGE = Window(path="/usage", from_param="from", to_param="to", look_back_days=3, chunk_days=30)


@dataclass
class Visit:
    """One walk and its landed answers."""

    steps: list[tuple[HttpResult, Step]] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """Outcome of the walk."""
        return str(self.steps[-1][0].outcome)

    @property
    def spans(self) -> list[tuple[date | None, date | None]]:
        """Days that were requested and answered."""
        return [(step.span.from_date, step.span.to_date) for answer, step in self.steps if answer.outcome == "ok"]

    @property
    def resume(self) -> Resume:
        """State that the next walk starts from."""
        return self.steps[-1][1].resume

    @property
    def ids(self) -> list[str]:
        """Ids of the rows in the good answers, in order."""
        return [row["id"] for answer, _ in self.steps if answer.outcome == "ok" for row in answer.payload["data"]]  # type: ignore[index]


@dataclass
class Walker:
    """Visits one endpoint of one account, run after run, each resuming from what is landed."""

    url: str
    landing: Path
    history_days: int = 400
    budget: Budget = field(default_factory=Budget)
    made: Landing = field(init=False)

    def __post_init__(self) -> None:
        self.made = Landing(self.landing)

    def visit(self, listing: Once | Pages | Window, *, today: date = TODAY, wanted: Span | None = None) -> Visit:
        """One run's walk."""
        visit = Visit()
        writer = LandingWriter(self.landing, "vpsbg", "transactions", today)
        now = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)

        def land(answer: HttpResult, step: Step) -> None:
            visit.steps.append((answer, step))
            writer.add(
                self.made.fetch(
                    "vpsbg",
                    "transactions",
                    answer.body,
                    at=now,
                    outcome=str(answer.outcome),
                    run_id=str(today),
                    days=(step.span.from_date, step.span.to_date),
                    page_number=step.page_number,
                    is_complete=step.is_complete,
                    resume_json=step.resume.to_json(),
                )
            )

        state = resume_states(self.landing, "vpsbg", "transactions", ["main"]).get("main")
        asyncio.run(self._walk(listing, land, Resume.from_json(state), today, wanted or Span()))
        writer.close()
        return visit

    async def _walk(
        self,
        listing: Once | Pages | Window,
        land: Callable[[HttpResult, Step], None],
        resume: Resume,
        today: date,
        wanted: Span,
    ) -> HttpResult:
        async with Network() as network:
            with RateLimits() as limits:
                client = Client(
                    network, vendor="vpsbg", account_id="main", base_url=self.url, allow_http_loopback=True,
                    headers={"Authorization": Secret("canary-key", name="A_KEY").with_prefix("Bearer ")},
                    rate_limit=RateLimit(10_000, 1, "account"), rate_limits=limits, patience=HURRIED,
                )  # fmt: skip
                walk = Walk(
                    asks=client, land=land, resume=resume, today=today, history_days=self.history_days, wanted=wanted,
                    budget=self.budget,
                )  # fmt: skip
                return await walk.run(listing)


@dataclass
class Vendor:
    """A vendor over a real socket: a ledger in pages, usage by days, and hooks to alter either."""

    server: HTTPServer
    rows: list[dict[str, Any]] = field(default_factory=list)
    """The ledger, in the order in which it is listed."""
    per_page: int = 10
    before_page: Callable[[int], Response | None] = lambda page: None
    next_link: Callable[[int], object] | None = None
    before_days: Callable[[str, str], Response | None] = lambda first, last: None

    def __post_init__(self) -> None:
        self.server.expect_request("/ledger").respond_with_handler(self._ledger)
        self.server.expect_request("/usage").respond_with_handler(self._usage)

    @property
    def url(self) -> str:
        """The base URL."""
        return self.server.url_for("").rstrip("/")

    @property
    def request_count(self) -> int:
        """Requests seen so far."""
        return len(self.server.log)

    def _ledger(self, request: Request) -> Response:
        page = int(request.args.get("page", 1))
        spoiled = self.before_page(page)
        if spoiled is not None:
            return spoiled
        rows = self.rows[(page - 1) * self.per_page : page * self.per_page]
        link: object = f"{self.url}/ledger?page={page + 1}" if page * self.per_page < len(self.rows) else None
        if self.next_link is not None:
            link = self.next_link(page)
        body = {"data": rows, "links": {"next": link}, "meta": {}}
        return Response(json.dumps(body), content_type="application/json")

    def _usage(self, request: Request) -> Response:
        spoiled = self.before_days(request.args["from"], request.args["to"])
        body = {"data": [{"id": request.args["from"]}]}
        return spoiled or Response(json.dumps(body), content_type="application/json")


def entry(day: date, number: int = 0, *, hour: int = 10) -> dict[str, Any]:
    """A ledger row of a day."""
    return {"id": f"{day}-{number}", "amount": -1, "created_at": f"{day}T{hour:02d}:00:00Z"}


def ledger(days: int, *, until: date = TODAY, each: int = 1) -> list[dict[str, Any]]:
    """Rows of every day, newest first."""
    return [entry(until - timedelta(days=day), number) for day in range(days) for number in range(each)]
