"""Fetching: all accounts side by side, each answer landed as it came, no failure in the way of another account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import SystemRandom
from typing import Final

import msgspec

from pipeline.http import Client, HttpOutcome, HttpResult, Network, Patience, RateLimit, RateLimits
from pipeline.landing.batches import EVERY_SECONDS, LandingBatches
from pipeline.landing.budget import Budget
from pipeline.landing.interrupts import run_interruptible
from pipeline.landing.listing_walk import Asks, Resume, Span, Step, Walk
from pipeline.landing.localfile import LocalFile
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
from pipeline.support.secret import Secret
from pipeline.vendors import discover
from pipeline.vendors._port import Endpoint, Vendor

_UNLIMITED = RateLimit(requests=1_000_000, per_seconds=1, scope="address")
_WALKS_AT_ONCE: Final = 256
"""Walks that are under way at one origin, four for each permit: one that waits between two requests costs nothing, and
the others need no memory before their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """How one endpoint of one account went in one run."""

    account_id: str
    vendor: str
    endpoint: str
    outcome: str
    reason: str
    """One sentence; empty when all went well."""
    is_absent: bool = False
    """The endpoint is optional, and this account has no such evidence: the run does not fail."""
    is_news: bool = False
    """It was otherwise at the last visit: the evidence was there or never asked for, or was absent and is there now."""
    fetch_count: int
    body_bytes: int
    elapsed_seconds: float
    clock_skew_seconds: float | None = None
    """How far this machine's clock is ahead of the vendor's; None where the vendor tells no time."""

    @property
    def clock_warning(self) -> str | None:
        """What is said of a clock that is wrong; None where it is not."""
        words = clock_words(self.clock_skew_seconds, self.vendor)
        if words is None:
            return None
        if abs(self.clock_skew_seconds or 0.0) > REFUSED_SECONDS:
            # The run was not refused: this vendor is alone with its time.
            return f"account {self.account_id}: {words}, and no other vendor says so: its server's clock may be wrong"
        return f"account {self.account_id}: {words}; set it"

    @property
    def is_ok(self) -> bool:
        """All that was asked for came."""
        return self.outcome == HttpOutcome.ok

    @property
    def news(self) -> str | None:
        """What is said of an absence, once; None where nothing is."""
        if not (self.is_absent and self.is_news):
            return None
        return f"{self.account_id}: continues without {self.endpoint}, which is optional: {self.reason}"

    @property
    def is_failed(self) -> bool:
        """Something that should have come did not."""
        return not (self.is_ok or self.is_absent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An endpoint of an account that a run is to visit, with the account's secrets in hand."""

    account: AccountSettings
    vendor: Vendor
    """Whose endpoint it is: the account's own vendor, or readings kept by hand of it."""
    secrets: dict[str, Secret]
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """How patient a run is, and a callback for each visit as it ends."""

    patience: Patience = field(default_factory=Patience)
    budget: Budget = field(default_factory=Budget)
    on_visit: Callable[[Visit], None] = lambda _: None
    on_warning: Callable[[str], None] = lambda _: None
    """Gets each line that a run says of accounts that are, or look like, one."""
    land_every_seconds: float = EVERY_SECONDS
    """How long an answer may be in memory alone."""
    is_limited: bool = True
    """Keep to the vendors' rate limits. False only for a sandbox, which is asked for months within seconds."""


@dataclass(kw_only=True)
class Fetcher:
    """One run's fetching."""

    home: Home
    clock: Clock
    run_id: str
    allow_http_loopback: bool
    wanted: Span = field(default_factory=Span)
    policy: FetchPolicy = field(default_factory=FetchPolicy)
    formerly: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By account, the ids that it had before: its walks go on where theirs ended."""
    ids: FetchIds = field(default_factory=FetchIds)

    def fetch(self, calls: Sequence[Call], record: bytes | None = None) -> list[Visit]:
        """Make all calls side by side, and land the answers in batches as they come. Returns how each went.

        `record` is what the run is: its redacted settings, which are landed before the first answer. Raises
        DrawdownError, with nothing landed, where the vendors tell another time than this machine by hours.
        """
        return run_interruptible(self._fetch(calls, record))

    async def _fetch(self, calls: Sequence[Call], record: bytes | None = None) -> list[Visit]:
        opening = None if record is None else own_fetch(self.clock, self.run_id, RUNS, record, wanted=self.wanted)
        # A clock that is set for a sandbox is not the vendors'.
        asked = [] if self.clock.as_of else [each.account for each in calls if each.vendor.base_url is not None]
        clocks = VendorClocks(asked)
        batches = LandingBatches(self.home, self.clock.today(), clocks, opening)
        # A sandbox is asked without limits, so there is no book to keep.
        folder = private_folder(self.home.limits) if self.policy.is_limited else None
        done: dict[int, Visit] = {}
        try:
            async with Network() as network:
                with RateLimits(folder) as limits:
                    tour = _Tour(fetcher=self, network=network, limits=limits, batches=batches, clocks=clocks)
                    await tour.make(calls, done)
        except BaseException:
            batches.finish_early()
            raise
        batches.finish()
        return [done[place] for place in range(len(calls))]

    def row(self, call: Call, answer: HttpResult, step: Step, resume: Resume) -> Fetch:
        """An answer as it is landed."""
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
class _Tour:
    """All visits of one run, and what they share."""

    fetcher: Fetcher
    network: Network
    limits: RateLimits
    batches: LandingBatches
    clocks: VendorClocks
    states: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """By vendor and endpoint, and by account: where the walk before this one ended."""

    async def make(self, calls: Sequence[Call], done: dict[int, Visit]) -> None:
        """Make each call; `done` gets its visit by its place. Raises what landing raises, and ends at once then."""
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
        # Landing ends before the visits only where it fails, and then nothing more is worth asking.
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
        asks = asks_for(
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
        last = await walk.run(endpoint.listing)
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
            # A clock set for a sandbox does not move.
            clock_skew_seconds=None if fetcher.clock.as_of or account.ignore_date_header else clock_skew_seconds(last),
        )
        fetcher.policy.on_visit(visit)
        return visit


def _in_order(calls: list[tuple[int, Call]]) -> list[tuple[int, Call]]:
    """An origin's calls in the order in which they are made: balances of all accounts, then the next endpoint.

    Accounts come in another order each time, so that none is always behind the same slow ones.
    """
    SystemRandom().shuffle(calls)
    return sorted(calls, key=lambda each: each[1].vendor.endpoints.index(each[1].endpoint))


def _reason(call: Call, answer: HttpResult) -> str | None:
    """Why an answer is no good; None where it is. A walk's own words do not say whose listing it is."""
    if answer.outcome is HttpOutcome.ok:
        return None
    if answer.outcome is HttpOutcome.pagination:
        return f"{call.vendor.name} account {call.account.account_id}: {answer.reason}"
    return answer.reason


def _is_absent(endpoint: Endpoint, answer: HttpResult, before: Resume) -> bool:
    """Tell whether an answer says that there is no such evidence: what never answered is not missed by any failure."""
    never = endpoint.is_extra and before.seen_through is None and answer.outcome is not HttpOutcome.ok
    return answer.outcome in endpoint.absent_outcomes or never


def _absent_as(endpoint: Endpoint, answer: HttpResult, before: Resume) -> str | None:
    """What is known, after an answer, of the evidence's absence; a failure tells nothing of it."""
    if answer.outcome is HttpOutcome.ok:
        return None
    if _is_absent(endpoint, answer, before):
        return str(answer.outcome)
    return before.absent_as


def check_world(settings: Settings, accounts: Sequence[AccountSettings], clock: Clock, home: Home) -> None:
    """Raise UsageError where a sandbox's world and the real one would mix.

    A clock that is set is only for vendors on loopback, and a state folder that holds the demo's data is only for a
    sandbox's accounts.
    """
    for account in accounts:
        if clock.as_of is not None and not account.is_loopback:
            raise UsageError(
                f"the clock can be set only for a sandbox: account {account.account_id} asks {account.base_url}, which "
                "lives in the present; leave --as-of out"
            )
    if home.sandbox_accounts.exists() and not all(each.is_loopback for each in settings.accounts.values()):
        raise UsageError(
            f"{home.path} holds the demo's data, which must not mix with real accounts; remove it, or set "
            "DRAWDOWN_HOME to another folder"
        )


def calls_for(accounts: Iterable[AccountSettings], wanted: set[tuple[str, str]]) -> list[Call]:
    """The calls of a run: the wanted (vendor, endpoint) pairs of each account, with its secrets.

    An account whose readings from before Drawdown are in a file is visited there, too. Raises UsageError before
    any request where a secret is absent or unusable.
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
    """The (vendor, endpoint) pairs that there are; with `refresh`, those that are asked that often."""
    return {
        (vendor.name, endpoint.name)
        for vendor in discover().values()
        for endpoint in vendor.endpoints
        if refresh in (None, endpoint.refresh)
    }


def asks_for(
    call: Call,
    network: Network,
    limits: RateLimits,
    *,
    patience: Patience,
    allow_http_loopback: bool,
    is_limited: bool = True,
) -> Asks:
    """Who answers a call: the vendor's API, with the account's secrets and rate limit, or the account's file."""
    account = call.account
    if call.vendor.base_url is None:
        if account.path is None:
            raise UsageError(
                f"{account.source}: account {account.account_id}: path: is missing; give the path of the CSV file"
            )
        return LocalFile(account.path, account.account_id)
    return Client(
        network,
        vendor=call.vendor.name,
        account_id=account.account_id,
        base_url=account.base_url,
        headers={header.name: call.secrets[header.setting].with_prefix(header.prefix) for header in call.vendor.auth},
        rate_limit=call.vendor.rate_limit if is_limited else _UNLIMITED,
        rate_limits=limits,
        patience=patience,
        allow_http_loopback=allow_http_loopback,
    )
