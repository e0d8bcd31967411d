"""Fetching: all accounts concurrently, each answer landed as it arrived, and no failure affecting another account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import SystemRandom
from typing import Final

import msgspec

from pipeline.http import HttpOutcome, HttpResult, Network, Patience, RateLimits
from pipeline.landing.account_client import Call, client_for
from pipeline.landing.batches import EVERY_SECONDS, LandingBatches
from pipeline.landing.budget import Budget
from pipeline.landing.interrupts import run_interruptible
from pipeline.landing.listing_walk import Resume, Span, Step, Walk
from pipeline.landing.own import own_fetch
from pipeline.landing.store import RUNS, Fetch, resume_states
from pipeline.landing.vendorclocks import (
    REFUSED_SECONDS,
    VendorClocks,
    clock_skew_seconds,
    clock_words,
    origin_of_account,
)
from pipeline.settings import AccountSettings, Settings
from pipeline.support.clock import Clock, FetchIds
from pipeline.support.errors import UsageError
from pipeline.support.home import Home, private_folder
from pipeline.vendors import discover
from pipeline.vendors._port import Endpoint, addressed

_WALKS_AT_ONCE: Final = 256
"""Concurrent walks at one origin, four for each permit: one that waits between two requests costs nothing, and the
others need no memory before their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Result of one endpoint of one account in one run."""

    account_id: str
    vendor: str
    endpoint: str
    outcome: str
    reason: str
    """One sentence; empty on success."""
    is_absent: bool = False
    """The endpoint is optional and the account lacks this evidence: the run does not fail."""
    is_news: bool = False
    """Whether the evidence has become absent, or has appeared, since the last visit."""
    fetch_count: int
    body_bytes: int
    elapsed_seconds: float
    clock_skew_seconds: float | None = None
    """Seconds that this machine's clock is ahead of the vendor's; None if the vendor states no time."""

    @property
    def clock_warning(self) -> str | None:
        """Warning about a clock that is wrong; None if there is none."""
        words = clock_words(self.clock_skew_seconds, self.vendor)
        if words is None:
            return None
        if abs(self.clock_skew_seconds or 0.0) > REFUSED_SECONDS:
            # The run was not refused, so only this vendor states another time.
            return f"account {self.account_id}: {words}, and no other vendor says so: its server's clock may be wrong"
        return f"account {self.account_id}: {words}; set it"

    @property
    def is_ok(self) -> bool:
        """Whether the request succeeded."""
        return self.outcome == HttpOutcome.ok

    @property
    def news(self) -> str | None:
        """Report of an absence when it changes; None otherwise."""
        if not (self.is_absent and self.is_news):
            return None
        return f"{self.account_id}: continues without {self.endpoint}, which is optional: {self.reason}"

    @property
    def is_failed(self) -> bool:
        """Whether required evidence is missing."""
        return not (self.is_ok or self.is_absent)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """Time limits of a run's fetching, and a callback for each finished visit."""

    patience: Patience = field(default_factory=Patience)
    budget: Budget = field(default_factory=Budget)
    on_visit: Callable[[Visit], None] = lambda _: None
    on_warning: Callable[[str], None] = lambda _: None
    """Called with each line about accounts that are, or look like, the same."""
    land_every_seconds: float = EVERY_SECONDS
    """Seconds that an answer may be held in memory only."""
    is_limited: bool = True
    """Observe the vendors' rate limits. False only for a sandbox, which is asked for months within seconds."""


@dataclass(kw_only=True)
class Fetcher:
    """Fetching of one run."""

    home: Home
    clock: Clock
    run_id: str
    allow_http_loopback: bool
    wanted: Span = field(default_factory=Span)
    policy: FetchPolicy = field(default_factory=FetchPolicy)
    formerly: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Former ids by account, whose walks are continued."""
    ids: FetchIds = field(default_factory=FetchIds)

    def fetch(self, calls: Sequence[Call], record: bytes | None = None) -> list[Visit]:
        """Run all calls concurrently, and land the answers in batches as they arrive. Returns a Visit for each.

        `record` describes the run: its redacted settings, which are landed before the first answer. Raises
        DrawdownError, with nothing landed, if the vendors' clocks differ from this machine's by hours.
        """
        return run_interruptible(self._fetch(calls, record))

    async def _fetch(self, calls: Sequence[Call], record: bytes | None = None) -> list[Visit]:
        opening = None if record is None else own_fetch(self.clock, self.run_id, RUNS, record, wanted=self.wanted)
        # A clock that is set for a sandbox is not the vendors'.
        asked = [] if self.clock.as_of else [each.account for each in calls if each.vendor.base_url is not None]
        clocks = VendorClocks(asked)
        batches = LandingBatches(self.home, self.clock.today(), clocks, opening)
        # A sandbox is requested without limits, so none are recorded.
        folder = private_folder(self.home.limits) if self.policy.is_limited else None
        done: dict[int, Visit] = {}
        try:
            async with Network() as network:
                with RateLimits(folder) as limits:
                    tour = _Visits(fetcher=self, network=network, limits=limits, batches=batches, clocks=clocks)
                    await tour.make(calls, done)
        except BaseException:
            batches.finish_early()
            raise
        batches.finish()
        return [done[place] for place in range(len(calls))]

    def row(self, call: Call, answer: HttpResult, step: Step, resume: Resume) -> Fetch:
        """Convert an answer to a row of landing."""
        now = self.clock.now()
        started = now if self.clock.as_of else now - timedelta(seconds=answer.elapsed_seconds)
        return Fetch(
            fetch_id=self.ids.draw(),
            run_id=self.run_id,
            vendor=call.vendor.name,
            account_id=call.account.account_id,
            endpoint=call.endpoint.name,
            request_url=answer.url,
            window_from_date=step.span.from_date,
            window_to_date=step.span.to_date,
            page_number=step.page_number,
            is_complete=step.is_complete,
            started_at_utc=started,
            fetched_at_utc=now,
            status_code=answer.status_code,
            outcome=str(answer.outcome),
            reason=_reason(call, answer),
            attempt_count=answer.attempt_count,
            elapsed_seconds=answer.elapsed_seconds,
            content_type=answer.content_type,
            body=answer.body,
            is_redacted=answer.is_redacted,
            resume_json=resume.to_json(),
        )


@dataclass(kw_only=True)
class _Visits:
    """All visits of one run, and their shared state."""

    fetcher: Fetcher
    network: Network
    limits: RateLimits
    batches: LandingBatches
    clocks: VendorClocks
    states: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """Resume state by vendor and endpoint, and by account."""

    async def make(self, calls: Sequence[Call], done: dict[int, Visit]) -> None:
        """Make all calls; `done` gets each visit with its position. If landing fails, raises its error at once."""
        for key in dict.fromkeys((call.vendor.name, call.endpoint.name) for call in calls):
            self.states[key] = resume_states(
                self.fetcher.home.landing,
                *key,
                (call.account.account_id for call in calls if (call.vendor.name, call.endpoint.name) == key),
                now=self.fetcher.clock.now(),
                formerly=self.fetcher.formerly,
            )
        by_origin: dict[tuple[str, str], list[tuple[int, Call]]] = {}
        for place, call in enumerate(calls):
            origin = call.account.base_url if call.vendor.base_url is not None else ""
            by_origin.setdefault((call.vendor.name, origin), []).append((place, call))
            if origin:
                self.network.expect(call.vendor.name, origin)
        workers = [
            asyncio.ensure_future(self._work(queue, done))
            for each in by_origin.values()
            for queue in [iter(_in_order(each))]
            for _ in range(min(len(each), _WALKS_AT_ONCE))
        ]
        landing = asyncio.ensure_future(self.batches.land_each(self.fetcher.policy.land_every_seconds))
        visits = asyncio.gather(*workers)
        # Landing ends before the visits only if it fails, and then further requests are pointless.
        landing.add_done_callback(lambda _: visits.cancel())
        try:
            await visits
        except asyncio.CancelledError:
            if landing.done() and not landing.cancelled():
                landing.result()
            raise
        finally:
            for task in (landing, *workers):
                task.cancel()
            await asyncio.gather(landing, *workers, return_exceptions=True)

    async def _work(self, queue: Iterator[tuple[int, Call]], done: dict[int, Visit]) -> None:
        for place, call in queue:
            done[place] = await self._visit(call)

    async def _visit(self, call: Call) -> Visit:
        fetcher, account, endpoint = self.fetcher, call.account, call.endpoint
        asks = client_for(
            call,
            self.network,
            self.limits,
            patience=fetcher.policy.patience,
            allow_http_loopback=fetcher.allow_http_loopback,
            is_limited=fetcher.policy.is_limited,
        )
        landed: list[tuple[int, float]] = []
        before = Resume.from_json(self.states[call.vendor.name, endpoint.name].get(account.account_id))

        def land(answer: HttpResult, step: Step) -> None:
            self.clocks.hear(origin_of_account(account), clock_skew_seconds(answer))
            absent_as = _absent_as(endpoint, answer, before)
            self.batches.add(fetcher.row(call, answer, step, msgspec.structs.replace(step.resume, absent_as=absent_as)))
            landed.append((len(answer.body), answer.elapsed_seconds))

        walk = Walk(
            asks=asks,
            land=land,
            resume=before,
            today=fetcher.clock.today(),
            history_days=account.history_days,
            wanted=fetcher.wanted,
            budget=fetcher.policy.budget,
            says_it_failed=endpoint.says_it_failed,
        )
        last = await walk.run(addressed(endpoint.listing, account.placeholders))
        visit = Visit(
            account_id=account.account_id,
            vendor=call.vendor.name,
            endpoint=endpoint.name,
            outcome=last.outcome,
            reason=_reason(call, last) or "",
            is_absent=_is_absent(endpoint, last, before),
            is_news=(_absent_as(endpoint, last, before) is None) != (before.absent_as is None),
            fetch_count=len(landed),
            body_bytes=sum(size for size, _ in landed),
            elapsed_seconds=sum(seconds for _, seconds in landed),
            # A clock set for a sandbox does not advance.
            clock_skew_seconds=None if fetcher.clock.as_of or account.ignore_date_header else clock_skew_seconds(last),
        )
        fetcher.policy.on_visit(visit)
        return visit


def _in_order(calls: list[tuple[int, Call]]) -> list[tuple[int, Call]]:
    """Order an origin's calls: balances of all accounts first, then endpoint by endpoint.

    Accounts are shuffled each time, so that none is always behind the same slow ones.
    """
    SystemRandom().shuffle(calls)
    return sorted(calls, key=lambda each: each[1].vendor.endpoints.index(each[1].endpoint))


def _reason(call: Call, answer: HttpResult) -> str | None:
    """Reason why an answer is unusable; None if it is usable. A walk's own message does not name the account."""
    if answer.outcome is HttpOutcome.ok:
        return None
    if answer.outcome is HttpOutcome.pagination:
        return f"{call.vendor.name} account {call.account.account_id}: {answer.reason}"
    return answer.reason


def _is_absent(endpoint: Endpoint, answer: HttpResult, before: Resume) -> bool:
    """Whether an answer means that the evidence is absent; for what never answered, every failure does."""
    never = endpoint.is_extra and before.seen_through is None and answer.outcome is not HttpOutcome.ok
    return answer.outcome in endpoint.absent_outcomes or never


def _absent_as(endpoint: Endpoint, answer: HttpResult, before: Resume) -> str | None:
    """Absence of the evidence as known after an answer; a failure does not change it."""
    if answer.outcome is HttpOutcome.ok:
        return None
    if _is_absent(endpoint, answer, before):
        return str(answer.outcome)
    return before.absent_as


def check_world(settings: Settings, accounts: Sequence[AccountSettings], clock: Clock, home: Home) -> None:
    """Raise UsageError if sandbox data and real data would mix.

    A fixed clock is only for vendors on loopback, and a state folder with the demo's data only for a sandbox's
    accounts.
    """
    for account in accounts:
        if clock.as_of is not None and not account.is_loopback:
            raise UsageError(
                f"the clock can be set only for a sandbox: account {account.account_id} asks {account.base_url}, which "
                "runs in real time; leave --as-of out"
            )
    if home.sandbox_accounts.exists() and not all(each.is_loopback for each in settings.accounts.values()):
        raise UsageError(
            f"{home.path} holds the demo's data, which must not mix with real accounts; remove it, or set "
            "DRAWDOWN_HOME to another folder"
        )


def calls_for(accounts: Iterable[AccountSettings], wanted: set[tuple[str, str]]) -> list[Call]:
    """Calls of a run: the wanted (vendor, endpoint) pairs of each account, with its secrets.

    An account with a file of earlier readings has a call for that file as well. Raises UsageError before any request if
    a secret is missing or unusable.
    """
    calls = []
    for account in accounts:
        vendors = [account.vendor]
        if account.path is not None and account.vendor.base_url is not None:
            vendors += [each for each in discover().values() if each.base_url is None]
        for vendor in vendors:
            endpoints = [each for each in vendor.endpoints if (vendor.name, each.name) in wanted]
            secrets = account.secrets() if endpoints and vendor is account.vendor else {}
            calls += [
                Call(account=account, vendor=vendor, secrets=secrets, endpoint=endpoint) for endpoint in endpoints
            ]
    return calls


def every_endpoint(refresh: str | None = None) -> set[tuple[str, str]]:
    """All (vendor, endpoint) pairs; with `refresh`, only those requested at that frequency."""
    return {
        (vendor.name, endpoint.name)
        for vendor in discover().values()
        for endpoint in vendor.endpoints
        if refresh in (None, endpoint.refresh)
    }
