"""Walking a listing: the requests that a run makes at one endpoint of one account, and when it is complete.

Each walk passes every answer, good or bad, to `land` and ends at the first failure: fetched answers are kept, and the
rest is requested by the next run, because the resume state never advances past a missing answer.

A walk also ends when its budget of the run is used up, so that no listing, however long or slow, delays the other
accounts. The next run continues there.
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
"""Failures after which a walk over several runs still continues where it stopped."""


class Requester(Protocol):
    """Part of the HTTP client that a walk needs."""

    @property
    def queued_seconds(self) -> float:
        """Seconds that its requests have waited behind those of others: not part of the walk's own time."""
        ...

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> HttpResult:
        """GET a path below the account's base URL."""
        ...

    async def follow(
        self, link: str, *, page_url: str | None = None, params: Mapping[str, str] | None = None
    ) -> HttpResult:
        """GET a link of the vendor, adding `params` that it dropped; refused if it leads to another origin."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Days that a walk covers; None for an open bound."""

    from_date: date | None = None
    to_date: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Position of an answer in its walk."""

    span: Span
    page_number: int
    is_complete: bool
    resume: Resume


class Unfinished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Walk of a paged listing that takes more than one run."""

    link: str
    """Page to continue with: usually the last one that was read, because rows may have moved up meanwhile."""
    page_number: int
    """Number of the page, counted over all runs of the walk."""
    begun_on: date
    """Rows after this day may be missing from the pages that were read first."""
    from_date: date | None = None
    """Day at which the walk may end, if the listing keeps its order; None: at the last page."""
    is_falling: bool = False
    """Whether the rows so far are in descending order of time."""


class Resume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """State that the next walk needs. Landed with each fetch."""

    seen_through: date | None = None
    """Everything up to this day has been read, without a gap."""
    is_newest_first: bool = False
    """A complete listing was in descending order of time."""
    looked_back_on: date | None = None
    """Day of the last walk with the longer look-back of a day's first walk."""
    unfinished: Unfinished | None = None
    """Position in a paged listing at which the run's budget was used up."""
    absent_as: str | None = None
    """Outcome that showed this evidence to be absent for the account; None if it was present, last."""

    @classmethod
    def from_json(cls, text: str | None) -> Resume:
        """Decode a landed state; a missing or unreadable one starts from the beginning."""
        try:
            return msgspec.json.decode(text, type=cls) if text else cls()
        except msgspec.DecodeError:
            return cls()

    def to_json(self) -> str:
        """Encode the state for landing."""
        return msgspec.json.encode(self).decode()


Land = Callable[[HttpResult, Step], None]
"""Called with each answer and its position in the walk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Walk of one endpoint of one account by one run."""

    asks: Requester
    land: Land
    resume: Resume
    today: date
    history_days: int
    wanted: Span
    """Days of a backfill; both bounds None for an ordinary run."""
    budget: Budget = field(default_factory=Budget)
    says_it_failed: Callable[[object], bool] = lambda _: False
    """Whether a decoded body states its own failure: it then counts as not read, whatever the status."""

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
                # The first page has the newest rows; the walk then continues where an earlier run stopped.
                link, page, begun_on = left.link, left.page_number, min(left.begun_on, self.today)
                stop_before = left.from_date and self._no_later(left.from_date)
                paging.go_on(is_falling=left.is_falling)
                left, part_pages = None, 0
            answer = await spending.on(self.asks.follow(link, page_url=page_url, params=carried(listing)))
            if answer is spending.used_up:
                # The last page is read again: rows removed meanwhile have moved later rows up into it.
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
        """Land a failure with the earlier state: no watermark advances past missing data."""
        resume = self.resume
        if answer.outcome not in _PASSING:
            # The position to continue from may itself be wrong.
            resume = msgspec.structs.replace(resume, unfinished=None)
        self.land(answer, replace(step, resume=resume))
        return answer

    def _faulty(self, answer: HttpResult, step: Step, reason: str, *, has_rows: bool) -> HttpResult:
        """Land a faulty page: its rows as one answer, and the fault after them."""
        fault = replace(answer, outcome=HttpOutcome.pagination, reason=reason)
        if has_rows:
            self.land(answer, step)
            fault = HttpResult(url=answer.url, outcome=HttpOutcome.pagination, reason=reason, date=answer.date)
        return self._failed(fault, step)

    def _stop_before(self, listing: Pages) -> date | None:
        if not self.resume.is_newest_first or self.resume.seen_through is None:
            return None
        # A clock that ran ahead left a day in the future: today is the maximum.
        seen = min(self.resume.seen_through, self.today)
        return self._no_later(seen - timedelta(days=listing.look_back_days))

    def _no_later(self, day: date) -> date:
        """The day, or the first day of a backfill if that is earlier."""
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
                # A backfill of old days does not cover the days between them and the last ordinary run.
                if is_ok and is_last and self.wanted.from_date is None and span.from_date and span.to_date:
                    seen = _day_of(answer, span.to_date)
                    if seen >= span.from_date:
                        # Requesting days again does not undo what was read after them.
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
    """State after everything up to `day` was read."""
    return msgspec.structs.replace(resume, seen_through=day)


def _day_of(answer: HttpResult, day: date) -> date:
    """Day up to which an answer is complete: not later than the server's own day, in case our clock is ahead."""
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
    """Whether this page is the last of a window, and the fault of its page count, if any."""
    if listing.page_param is None or answer.outcome is not HttpOutcome.ok:
        return True, None
    count = whole(dig(answer.payload, listing.page_count_at))
    if count is None:
        return True, f"page {page} of {listing.path} has a `{listing.page_count_at}` that is not a number of pages"
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
