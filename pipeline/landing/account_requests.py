"""The requests of one run: answers of accounts, and exchange rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pipeline.landing.ecb_rates import land_rates
from pipeline.landing.fetching import Fetcher, FetchPolicy, Visit, calls_for, check_world
from pipeline.landing.listing_walk import Span
from pipeline.landing.rate_requests import request_rates
from pipeline.landing.runs import newest_record
from pipeline.settings import AccountSettings, Settings, compare, identify, identity_key, warnings
from pipeline.support.clock import Clock
from pipeline.support.home import Home


def request_accounts(
    settings: Settings,
    accounts: Sequence[AccountSettings],
    wanted: set[tuple[str, str]],
    *,
    home: Home,
    clock: Clock,
    run_id: str,
    span: Span,
    policy: FetchPolicy,
    warn: Callable[[str], None],
) -> list[Visit]:
    """Request the wanted (vendor, endpoint) pairs of accounts concurrently, and exchange rates, and land the answers.

    Raises UsageError before any request if a secret is missing or unusable, or if the state folder holds another
    world's data.
    """
    check_world(settings, accounts, clock, home)
    calls = calls_for(accounts, wanted)
    record = settings.to_record(identify(settings.accounts.values(), identity_key(home)))
    likeness = compare(newest_record(home.landing, clock.now()), record)
    for line in warnings(likeness, record, settings.source):
        warn(line)
    fetcher = Fetcher(
        home=home,
        clock=clock,
        run_id=run_id,
        allow_http_loopback=settings.allow_http_loopback,
        wanted=span,
        policy=policy,
        formerly={
            each.account_id: (
                *each.formerly,
                *(old for old, new in likeness.renames.items() if new == each.account_id),
            )
            for each in accounts
        },
    )
    visits = fetcher.fetch(calls, msgspec.json.encode(record, order="sorted"))
    land_rates(home, clock, run_id)
    warning = request_rates(
        home,
        clock,
        run_id,
        settings.fx,
        patience=policy.patience,
        allow_http_loopback=settings.allow_http_loopback,
    )
    if warning:
        warn(warning)
    return visits
