"""Walking a listing: which requests a run makes at one endpoint of one account, and when it has seen all.

Each walk hands every answer, good or bad, to `land` and ends at the first failure: what was fetched stands, what
was not is asked for again by the next run, because the resume state never moves past an answer that is missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Protocol

import msgspec

from pipeline.http import Answer, Outcome
from pipeline.paths import dig
from pipeline.vendors._port import Once, Pages, Window


class Asks(Protocol):
    """The part of the HTTP client that a walk needs."""

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """GET a path below the account's base URL."""
        ...

    async def follow(self, link: str, *, page_url: str | None = None) -> Answer:
        """GET a link that the vendor gave; refused where it leads elsewhere."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The days that a walk is about; None where it has no such bound."""

    from_date: date | None = None
    to_date: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One answer's place in its walk."""

    span: Span
    page_number: int
    is_complete: bool
    resume: Resume


class Resume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the next walk needs to know of the earlier ones. Landed with each fetch."""

    seen_through: date | None = None
    """Everything up to this day was seen, by walks without a gap."""
    is_newest_first: bool = False
    """A whole listing was seen in falling order of time."""
    looked_back_on: date | None = None
    """The day of the last walk that looked back as far as a day's first walk does."""
    absent_as: str | None = None
    """The outcome by which this evidence is known to be absent for the account; None where it was there, last."""

    @classmethod
    def from_json(cls, text: str | None) -> Resume:
        """Read a landed state; an absent or unreadable one starts from the beginning."""
        try:
            return msgspec.json.decode(text, type=cls) if text else cls()
        except msgspec.DecodeError:
            return cls()

    def to_json(self) -> str:
        """The state as landed."""
        return msgspec.json.encode(self).decode()


Land = Callable[[Answer, Step], None]
"""Takes each answer with its place in the walk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """One endpoint of one account, as one run walks it."""

    asks: Asks
    land: Land
    resume: Resume
    today: date
    history_days: int
    wanted: Span
    """What a backfill asks for; both bounds None for an ordinary run."""

    def run(self, listing: Once | Pages | Window) -> Awaitable[Answer]:
        """Walk the listing; returns the last answer, whose outcome is the walk's."""
        match listing:
            case Once():
                return self._once(listing)
            case Pages():
                return self._pages(listing)
            case Window():
                return self._window(listing)

    async def _once(self, listing: Once) -> Answer:
        answer = await self.asks.get(listing.path)
        is_ok = answer.outcome is Outcome.ok
        resume = replace_seen(self.resume, _day_of(answer, self.today)) if is_ok else self.resume
        self.land(answer, Step(span=Span(), page_number=1, is_complete=is_ok, resume=resume))
        return answer

    async def _pages(self, listing: Pages) -> Answer:
        stop_before = self._stop_before(listing)
        span = Span(from_date=stop_before, to_date=self.today)
        order = _Order(listing)
        followed: set[str] = set()
        answer = await self.asks.get(listing.path, listing.params)
        page = 1
        while True:
            failed = Step(span=span, page_number=page, is_complete=False, resume=self.resume)
            if answer.outcome is not Outcome.ok:
                self.land(answer, failed)
                return answer
            order.see(answer.payload)
            link = dig(answer.payload, listing.next_at)
            if not link or (stop_before is not None and order.is_past(stop_before)):
                seen = _day_of(answer, self.today)
                resume = Resume(seen_through=seen, is_newest_first=order.is_newest_first)
                self.land(answer, replace(failed, is_complete=True, resume=resume))
                return answer
            problem = _link_problem(link, followed, page, listing)
            if problem:
                answer = replace(answer, outcome=Outcome.pagination, reason=problem)
                self.land(answer, failed)
                return answer
            self.land(answer, failed)
            followed.add(str(link))
            page += 1
            answer = await self.asks.follow(str(link), page_url=answer.url)

    def _stop_before(self, listing: Pages) -> date | None:
        if not self.resume.is_newest_first or self.resume.seen_through is None:
            return None
        # A clock that ran ahead left a day in the future: from today's view, today is seen at most.
        seen = min(self.resume.seen_through, self.today)
        usual = seen - timedelta(days=listing.look_back_days)
        return min(usual, self.wanted.from_date) if self.wanted.from_date else usual

    async def _window(self, listing: Window) -> Answer:
        chunks = _chunks(self._days(listing), listing.chunk_days)
        resume = self.resume
        number = 0
        for place, span in enumerate(chunks, start=1):
            page = 0
            is_last = False
            while not is_last:
                page += 1
                number += 1
                answer = await self.asks.get(listing.path, _query(listing, span, page))
                is_last, problem = _is_last_page(listing, answer, page)
                if problem:
                    answer = replace(answer, outcome=Outcome.pagination, reason=problem)
                is_ok = answer.outcome is Outcome.ok
                # A backfill of old days says nothing about the days between them and the last ordinary run.
                if is_ok and is_last and self.wanted.from_date is None and span.from_date and span.to_date:
                    seen = _day_of(answer, span.to_date)
                    if seen >= span.from_date:
                        # Days that are asked for once more do not take back what was seen after them.
                        known = min(self.resume.seen_through or seen, self.today)
                        resume = replace_seen(resume, max(seen, known))
                    if place == len(chunks):
                        resume = msgspec.structs.replace(resume, looked_back_on=self._looked_back_on(listing))
                self.land(answer, Step(span=span, page_number=number, is_complete=is_ok and is_last, resume=resume))
                if not is_ok:
                    return answer
        return answer

    def _days(self, listing: Window) -> tuple[date, date]:
        last = min(self.wanted.to_date or self.today, self.today)
        if self.wanted.from_date:
            return min(self.wanted.from_date, last), last
        history_days = min(self.history_days, listing.history_days or self.history_days)
        if self.resume.seen_through is None:
            return self.today - timedelta(days=history_days), self.today
        look_back_days = listing.look_back_days
        if self.resume.looked_back_on != self._looked_back_on(listing):
            look_back_days = max(look_back_days, listing.daily_look_back_days)
        return min(self.resume.seen_through, self.today) - timedelta(days=look_back_days), self.today

    def _looked_back_on(self, listing: Window) -> date | None:
        return self.today if listing.daily_look_back_days else None


def replace_seen(resume: Resume, day: date) -> Resume:
    """The state after everything up to `day` was seen."""
    return msgspec.structs.replace(resume, seen_through=day)


def _day_of(answer: Answer, day: date) -> date:
    """The day up to which an answer has told all: not past the server's own, should our clock run ahead."""
    return min(day, answer.date.date()) if answer.date else day


def _query(listing: Window, span: Span, page: int) -> dict[str, str]:
    first, last = span.from_date, span.to_date
    assert first is not None  # noqa: S101 - a chunk has both bounds
    assert last is not None  # noqa: S101
    if listing.bounds == "instants":
        bounds = (f"{first}T00:00:00", f"{last + timedelta(days=1)}T00:00:00")
    else:
        bounds = (str(first), str(last))
    query = {**listing.params, listing.from_param: bounds[0], listing.to_param: bounds[1]}
    return query | {listing.page_param: str(page)} if listing.page_param else query


def _is_last_page(listing: Window, answer: Answer, page: int) -> tuple[bool, str | None]:
    """Whether a window ends with this page, and what is wrong with its count of pages."""
    if listing.page_param is None or answer.outcome is not Outcome.ok:
        return True, None
    count = dig(answer.payload, listing.page_count_at)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        return True, f"page {page} of {listing.path} has a `{listing.page_count_at}` that is no number of pages"
    if count > listing.page_cap:
        return True, f"{listing.path} has more than {listing.page_cap} pages in one window; the walk ends there"
    return page >= count, None


def _chunks(days: tuple[date, date], chunk_days: int) -> list[Span]:
    first, last = days
    starts = range(0, (last - first).days + 1, chunk_days)
    return [
        Span(
            from_date=first + timedelta(days=start),
            to_date=min(first + timedelta(days=start + chunk_days - 1), last),
        )
        for start in starts
    ]


class _Order:
    """Whether the rows seen so far fall in time, page after page."""

    def __init__(self, listing: Pages) -> None:
        self._listing = listing
        self._oldest: str | None = None
        self._distinct = 0
        self._falls = True

    def see(self, payload: object) -> None:
        rows = dig(payload, self._listing.rows_at)
        for row in rows if isinstance(rows, list) else []:
            stamp = dig(row, self._listing.newest_first_by) if self._listing.newest_first_by else None
            # Only stamps of one spelling can be compared as text: anything else proves nothing.
            if not isinstance(stamp, str) or not stamp.endswith("Z"):
                self._falls = False
                continue
            if self._oldest is not None and (len(stamp) != len(self._oldest) or stamp > self._oldest):
                self._falls = False
            self._distinct += stamp != self._oldest
            self._oldest = stamp

    @property
    def is_newest_first(self) -> bool:
        """Two different times at least were seen, and none later than the one before."""
        return self._falls and self._distinct > 1

    def is_past(self, day: date) -> bool:
        """All that follows is older than the day, if the listing keeps its order."""
        return self._falls and self._oldest is not None and self._oldest[:10] < day.isoformat()


def _link_problem(link: Any, followed: set[str], page: int, listing: Pages) -> str | None:
    if not isinstance(link, str):
        return f"page {page} of {listing.path} has a `{listing.next_at}` that is no link; the walk ends there"
    if link in followed:
        return f"page {page} of {listing.path} links to a page that was already walked; the listing is cyclic"
    if page >= listing.page_cap:
        return f"{listing.path} has more than {listing.page_cap} pages; the walk ends there"
    return None
