"""`drawdown doctor`: one GET a key, and a look at this machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipeline.errors import DrawdownError
from pipeline.home import Home
from pipeline.http import Answer, Network, Outcome, Patience, RateLimits
from pipeline.landing.fetching import CLOCK_SECONDS, Call, asks_for, calls_for
from pipeline.landing.walk import Asks
from pipeline.settings import Settings, load
from pipeline.vendors import discover
from pipeline.vendors._port import Endpoint, Vendor

_DISK_BYTES: Final = 1024**3
_PATIENCE: Final = Patience(deadline_seconds=20, attempts=2)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    state: str
    """`ok`, `warn` or `fail`."""
    about: str
    finding: str


def examine(home: Home) -> list[Finding]:
    """Look at everything; raises UsageError where settings cannot be read at all."""
    settings = load()
    count = len(settings.accounts)
    findings = [Finding("ok", settings.source, f"{count} account{'' if count == 1 else 's'}")]
    findings += _files(home, Path(settings.source))
    calls: list[Call] = []
    wanted = {(vendor.name, _endpoint(vendor).name) for vendor in discover().values()}
    for account in settings.accounts.values():
        try:
            calls += calls_for([account], wanted)
        except DrawdownError as problem:
            findings.append(Finding("fail", account.account_id, str(problem)))
    return findings + asyncio.run(_ask(settings, home, calls))


def _endpoint(vendor: Vendor) -> Endpoint:
    """The endpoint that tells the balance, which is one request; a vendor without one is asked for what it has."""
    for endpoint in vendor.endpoints:
        if any(records.kind == "balances" for records in endpoint.records):
            return endpoint
    return vendor.endpoints[0]


async def _ask(settings: Settings, home: Home, calls: list[Call]) -> list[Finding]:
    limits = RateLimits(home.limits if home.path.exists() else None)
    async with Network() as network:
        clients: list[Asks] = [
            asks_for(call, network, limits, patience=_PATIENCE, allow_http_loopback=settings.allow_http_loopback)
            for call in calls
        ]
        answers = await asyncio.gather(
            *(client.get(call.endpoint.listing.path) for client, call in zip(clients, calls, strict=True))
        )
    return [finding for call, answer in zip(calls, answers, strict=True) for finding in _judge(call, answer)]


def _judge(call: Call, answer: Answer) -> Iterator[Finding]:
    account_id = call.account.account_id
    if answer.outcome is not Outcome.ok:
        yield Finding("fail", account_id, answer.reason)
        return
    if call.vendor.base_url is None:
        yield Finding("ok", account_id, f"{call.account.path} can be read")
        return
    rest = "" if answer.rate_limit_remaining is None else f", {answer.rate_limit_remaining} requests left"
    yield Finding("ok", account_id, f"{call.vendor.title} answers in {answer.elapsed_seconds:.2f} s{rest}")
    if answer.date is not None:
        skew = (datetime.now(UTC) - answer.date).total_seconds()
        if abs(skew) > CLOCK_SECONDS:
            direction = "ahead of" if skew > 0 else "behind"
            yield Finding(
                "warn",
                account_id,
                f"this machine's clock is {abs(skew):.0f} s {direction} {call.vendor.title}'s",
            )


def _files(home: Home, accounts: Path) -> Iterator[Finding]:
    if accounts.stat().st_mode & stat.S_IWOTH:
        yield Finding("warn", str(accounts), f"anybody may change it; chmod o-w {accounts}")
    if not home.path.exists():
        yield Finding("ok", str(home.path), "not there yet; the first run makes it")
        return
    loose = [
        path for path in (home.path, home.landing, home.published) if path.exists() and path.stat().st_mode & 0o077
    ]
    for path in loose:
        yield Finding("warn", str(path), f"others may read it; chmod 700 {path}")
    if home.sandbox_accounts.exists() and accounts.absolute() != home.sandbox_accounts:
        yield Finding("warn", str(home.path), "holds the demo's data; set DRAWDOWN_HOME to another folder for accounts")
    if not os.access(home.path, os.W_OK):
        yield Finding("fail", str(home.path), "cannot be written to")
    free = shutil.disk_usage(home.path).free
    state = "ok" if free > _DISK_BYTES else "warn"
    yield Finding(state, str(home.path), f"{free / 1024**3:.1f} GiB free")
