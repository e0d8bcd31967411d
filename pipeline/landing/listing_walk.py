"""Walking a listing: which requests a run makes at one endpoint of one account, and when it has seen all.

Each walk hands every answer, good or bad, to `land` and ends at the first failure: what was fetched stays, what
was not is asked for again by the next run, because the resume state never moves past an answer that is missing.

A walk also ends when it has used up its budget of the run, so that no listing, however long or slow, holds up the
other accounts. The next run then goes on where it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final, Protocol

import msgspec

from pipeline.http import HttpOutcome, HttpResult, join_link
from pipeline.landing.budget import Budget, Spending
from pipeline.landing.paging import Paging, PagingFault, carried, whole
from pipeline.support.json_paths import dig
from pipeline.vendors._port import Once, Pages, Window

_GOES_ON: Final = "the next run continues from there"
_PASSING: Final = frozenset(
    {
        HttpOutcome.unauthorised,
        HttpOutcome.rate_limited,
        HttpOutcome.server_error,
        HttpOutcome.timeout,
        HttpOutcome.deadline,
        HttpOutcome.connection,
        HttpOutcome.tls,
    }
)
"""Failures after which a walk that takes several runs still goes on where it was left."""


class Asks(Protocol):
    """The part of the HTTP client that a walk needs."""

    @property
    def queued_seconds(self) -> float:
        """How long its requests have waited behind those of others, so far: that is not the walk's own time."""
        ...

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> HttpResult:
        """GET a path below the account's base URL."""
        ...

    async def follow(
        self, link: str, *, page_url: str | None = None, params: Mapping[str, str] | None = None
    ) -> HttpResult:
        """GET a link that the vendor gave, with those of `params` that it drops; refused where it leads elsewhere."""
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


class Unfinished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A walk of a listing in pages that takes more than one run."""

    link: str
    """The page to go on with: as a rule the last one that was read, because rows may have moved up meanwhile."""
    page_number: int
    """Its number, counted over all runs of the walk."""
    begun_on: date
    """What came after this day is not in the pages that were read first."""
    from_date: date | None = None
    """Where the walk may end, if the listing keeps its order; None: at its last page."""
    is_falling: bool = False
    """The rows read so far fall in time."""


class Resume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the next walk needs to know of the earlier ones. Landed with each fetch."""

    seen_through: date | None = None
    """Everything up to this day was seen, by walks without a gap."""
    is_newest_first: bool = False
    """A whole listing was seen in falling order of time."""
    looked_back_on: date | None = None
    """The day of the last walk that looked back as far as a day's first walk does."""
    unfinished: Unfinished | None = None
    """Where a listing in pages was left when the run's budget was used up."""
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


Land = Callable[[HttpResult, Step], None]
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
    budget: Budget = field(default_factory=Budget)
    says_it_failed: Callable[[object], bool] = lambda _: False
    """Whether a decoded body says of itself that it failed: then nothing was seen, whatever the status was."""

    def _is_good(self, answer: HttpResult) -> bool:
        return answer.outcome is HttpOutcome.ok and not self.says_it_failed(answer.payload)

    async def run(self, listing: Once | Pages | Window) -> HttpResult:
        """Walk the listing; returns the last answer, whose outcome is the walk's."""
        match listing:
            case Once():
                return await self._once(listing)
            case Pages():
                return await self._pages(listing, self._spending())
            case Window():
                return await self._window(listing, self._spending())

    def _spending(self) -> Spending:
        asks = self.asks
        return Spending(self.budget, is_backfill=self._is_backfill, queued_seconds=lambda: asks.queued_seconds)

    @property
    def _is_backfill(self) -> bool:
        return self.wanted.from_date is not None

    async def _once(self, listing: Once) -> HttpResult:
        answer = await self.asks.get(listing.path)
        is_ok = self._is_good(answer)
        resume = replace_seen(self.resume, _day_of(answer, self.today)) if is_ok else self.resume
        self.land(answer, Step(span=Span(), page_number=1, is_complete=is_ok, resume=resume))
        return answer

    async def _pages(self, listing: Pages, spending: Spending) -> HttpResult:
        paging, page, part_pages = Paging(listing), 1, 0
        stop_before, begun_on, left = self._stop_before(listing), self.today, self.resume.unfinished
        answer = await spending.on(self.asks.get(listing.path, listing.params))
        while True:
            span = Span(from_date=stop_before, to_date=begun_on)
            step = Step(span=span, page_number=page, is_complete=False, resume=self.resume)
            if not self._is_good(answer):
                return self._failed(answer, step)
            was_falling = paging.is_falling
            paging.see(answer, page)
            part_pages += 1
            try:
                link = None if paging.is_past(stop_before) else paging.next_link()
                if link and page >= listing.page_cap:
                    raise PagingFault(f"{listing.path} has more than {listing.page_cap} pages; the walk ends there")
            except PagingFault as fault:
                return self._faulty(answer, step, str(fault), has_rows=paging.has_rows)
            if link is None:
                resume = Resume(seen_through=_day_of(answer, begun_on), is_newest_first=paging.is_newest_first)
                self.land(answer, replace(step, is_complete=True, resume=resume))
                return answer
            self.land(answer, step)
            page_url, page = answer.url, page + 1
            if left is not None:
                # With the first page the newest rows are there; the walk goes on where an earlier run left it.
                link, page, begun_on = left.link, left.page_number, min(left.begun_on, self.today)
                stop_before = left.from_date and self._no_later(left.from_date)
                paging.go_on(is_falling=left.is_falling)
                left, part_pages = None, 0
            answer = await spending.on(self.asks.follow(link, page_url=page_url, params=carried(listing)))
            if answer is spending.used_up:
                # The last page is read again: rows that are gone meanwhile have moved those behind them up into it.
                again = part_pages > 1
                unfinished = Unfinished(
                    link=page_url if again else join_link(link, page_url=page_url),
                    page_number=page - again,
                    begun_on=begun_on,
                    from_date=stop_before,
                    is_falling=was_falling if again else paging.is_falling,
                )
                reason = f"{listing.path}: {spending.words}; {_GOES_ON}"
                answer = replace(answer, url=page_url, reason=reason)
                resume = msgspec.structs.replace(self.resume, unfinished=unfinished)
                self.land(answer, replace(step, page_number=page, resume=resume))
                return answer

    def _failed(self, answer: HttpResult, step: Step) -> HttpResult:
        """Land a failure, which carries on what was known before it: no watermark moves past what is missing."""
        resume = self.resume
        if answer.outcome not in _PASSING:
            # It may be the place to go on from that is wrong.
            resume = msgspec.structs.replace(resume, unfinished=None)
        self.land(answer, replace(step, resume=resume))
        return answer

    def _faulty(self, answer: HttpResult, step: Step, reason: str, *, has_rows: bool) -> HttpResult:
        """Land a page that is no good to go on from: its rows as an answer of their own, and the fault after them."""
        fault = replace(answer, outcome=HttpOutcome.pagination, reason=reason)
        if has_rows:
            self.land(answer, step)
            fault = HttpResult(url=answer.url, outcome=HttpOutcome.pagination, reason=reason, date=answer.date)
        return self._failed(fault, step)

    def _stop_before(self, listing: Pages) -> date | None:
        if not self.resume.is_newest_first or self.resume.seen_through is None:
            return None
        # A clock that ran ahead left a day in the future: from today's view, today is seen at most.
        seen = min(self.resume.seen_through, self.today)
        return self._no_later(seen - timedelta(days=listing.look_back_days))

    def _no_later(self, day: date) -> date:
        """The day, or the first one that a backfill asks for."""
        return min(day, self.wanted.from_date) if self.wanted.from_date else day

    async def _window(self, listing: Window, spending: Spending) -> HttpResult:
        chunks = _chunks(self._days(listing), listing.chunk_days)
        resume = self.resume
        number = 0
        for place, span in enumerate(chunks, start=1):
            page = 0
            is_last = False
            while not is_last:
                page += 1
                number += 1
                answer = await spending.on(self.asks.get(listing.path, _query(listing, span, page)))
                is_last, problem = _is_last_page(listing, answer, page)
                if answer is spending.used_up:
                    goes_on = f"repeat the backfill from {span.from_date} on" if self._is_backfill else _GOES_ON
                    answer = replace(answer, url=listing.path, reason=f"{listing.path}: {spending.words}; {goes_on}")
                if problem:
                    answer = replace(answer, outcome=HttpOutcome.pagination, reason=problem)
                is_ok = self._is_good(answer)
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


def _day_of(answer: HttpResult, day: date) -> date:
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


def _is_last_page(listing: Window, answer: HttpResult, page: int) -> tuple[bool, str | None]:
    """Whether a window ends with this page, and what is wrong with its count of pages."""
    if listing.page_param is None or answer.outcome is not HttpOutcome.ok:
        return True, None
    count = whole(dig(answer.payload, listing.page_count_at))
    if count is None:
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
