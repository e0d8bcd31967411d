"""`drawdown doctor`: one GET for each key, and checks of this machine."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipeline.cli.account_names import same_accounts
from pipeline.cli.machine_checks import CheckResult, look
from pipeline.cli.service_checks import deliveries, last_refresh, postgres_servers
from pipeline.http import HttpOutcome, HttpResult, Network, Patience, RateLimits
from pipeline.landing.account_client import Call, client_for
from pipeline.landing.fetching import calls_for
from pipeline.landing.interrupts import run_interruptible
from pipeline.landing.listing_walk import Requester
from pipeline.landing.vendorclocks import VendorClocks, clock_skew_seconds, clock_words, origin_of_account
from pipeline.settings import Settings, load
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.vendors import discover
from pipeline.vendors._port import addressed

_DISK_BYTES: Final = 1024**3
_PATIENCE: Final = Patience(deadline_seconds=20, attempts=2)


def examine(home: Home, *, is_delivering: bool = False) -> list[CheckResult]:
    """Run all checks; raises UsageError if the settings cannot be read at all.

    Recipients of alerts get a test message only if `is_delivering`.
    """
    settings = load()
    count = len(settings.accounts)
    findings = [CheckResult("ok", settings.source, f"{count} account{'' if count == 1 else 's'}")]
    findings += look(home, Path(settings.source), least_free_bytes=_DISK_BYTES)
    findings.append(_rates(settings, home))
    findings.append(last_refresh(settings, home))
    findings += postgres_servers(settings, home)
    if is_delivering:
        findings += deliveries(settings)
    findings += same_accounts(settings, home)
    calls: list[Call] = []
    wanted = {(vendor.name, vendor.balance_endpoint.name) for vendor in discover().values()}
    for account in settings.accounts.values():
        try:
            calls += calls_for([account], wanted)
        except DrawdownError as problem:
            findings.append(CheckResult("fail", account.account_id, str(problem)))
    return findings + run_interruptible(_ask(settings, home, calls))


def _rates(settings: Settings, home: Home) -> CheckResult:
    """Age of the newest landed exchange rate; none is requested."""
    from pipeline.landing.ecb_rates import landed_state
    from pipeline.landing.rate_requests import ABOUT, is_outdated, newest_words, remedy

    try:
        known = landed_state(home)
    except DrawdownError as problem:
        return CheckResult("fail", ABOUT, str(problem))
    if known is None or known.newest_date is None:
        return CheckResult("ok", ABOUT, "none are landed yet; the first run does that")
    today = datetime.now(UTC).date()
    words = newest_words(known, settings.fx, today)
    if is_outdated(known, today):
        return CheckResult("warn", ABOUT, f"{words}: {remedy(settings.fx)}")
    return CheckResult("ok", ABOUT, words)


async def _ask(settings: Settings, home: Home, calls: list[Call]) -> list[CheckResult]:
    limits = RateLimits(home.limits if home.path.exists() else None)
    async with Network() as network:
        clients: list[Requester] = [
            client_for(call, network, limits, patience=_PATIENCE, allow_http_loopback=settings.allow_http_loopback)
            for call in calls
        ]
        answers = await asyncio.gather(
            *(
                client.get(addressed(call.endpoint.listing, call.account.placeholders).path)
                for client, call in zip(clients, calls, strict=True)
            )
        )
        asked = list(zip(clients, calls, answers, strict=True))
        permissions = await asyncio.gather(*(_permits(*each) for each in asked))
    findings: list[CheckResult] = []
    clocks = VendorClocks(call.account for call in calls)
    for call, answer in zip(calls, answers, strict=True):
        clocks.hear(origin_of_account(call.account), clock_skew_seconds(answer))
    if clocks.problem:
        findings.append(
            CheckResult("fail", "clock", f"{clocks.problem}; set it, or have NTP set it: no run lands before that")
        )
    for call, answer, permits in zip(calls, answers, permissions, strict=True):
        findings += _judge(call, answer)
        if permits is not None:
            findings += _judge_permissions(call, permits)
    return findings


async def _permits(client: Requester, call: Call, answer: HttpResult) -> HttpResult | None:
    """The vendor's list of the key's permissions; None if it offers none or has refused the key already."""
    permissions = call.vendor.permissions
    if permissions is None or answer.outcome is not HttpOutcome.ok:
        return None
    return await client.get(permissions.path)


def _judge_permissions(call: Call, answer: HttpResult) -> Iterator[CheckResult]:
    """Report permissions beyond reading, as the vendor lists them; they are never used."""
    account_id, permissions = call.account.account_id, call.vendor.permissions
    variables = " and ".join(secret.name for secret in call.secrets.values())
    rows = answer.payload.get(permissions.at) if permissions and isinstance(answer.payload, dict) else None
    if permissions is None or not isinstance(rows, list):
        words = f"{call.vendor.title} does not say what the key in {variables} may do ({answer.outcome})"
        yield CheckResult("ok", account_id, words)
        return
    names = [str(row.get(permissions.name)) for row in rows if isinstance(row, dict)]
    beyond = sorted({name for name in names if not re.fullmatch(permissions.reads, name)})
    if beyond:
        such = (
            f"{len(beyond)} permissions beyond reading, such as" if len(beyond) > 1 else "a permission beyond reading:"
        )
        yield CheckResult(
            "warn",
            account_id,
            f"the key in {variables} has {such} {beyond[0]}; create one at {call.vendor.title} for a user who may only "
            "read",
        )


def _judge(call: Call, answer: HttpResult) -> Iterator[CheckResult]:
    account_id = call.account.account_id
    if answer.outcome is not HttpOutcome.ok:
        yield CheckResult("fail", account_id, answer.reason)
        return
    problems = list(_unread(call, answer))
    yield from problems
    if call.vendor.base_url is None:
        if not problems:
            yield CheckResult("ok", account_id, f"{call.account.path} can be read")
        return
    rest = "" if answer.rate_limit_remaining is None else f", {answer.rate_limit_remaining} requests left"
    yield CheckResult("ok", account_id, f"{call.vendor.title} answers in {answer.elapsed_seconds:.2f} s{rest}")
    words = clock_words(clock_skew_seconds(answer), call.vendor.title)
    if words and not call.account.ignore_date_header:
        yield CheckResult("warn", account_id, f"{words}; set it, or have NTP set it")


def _unread(call: Call, answer: HttpResult) -> Iterator[CheckResult]:
    """Report the parts of an answer that a run could not read, by reading it the same way."""
    from pipeline.staging.byhand import problems
    from pipeline.staging.record_reading import Landed, read_endpoint

    account_id = call.account.account_id
    landed = Landed(
        fetch_id="", run_id="", account_id=account_id, window_from_date=None, window_to_date=None,
        fetched_at_utc=datetime.now(UTC), payload=answer.payload,
    )  # fmt: skip
    readings = read_endpoint(call.endpoint, [landed], money_is_float=call.vendor.money_is_float)
    for reading in (each for each in readings if each.records.kind == "balances"):
        if call.vendor.base_url is None:
            refused = [(each.row_number, each.column_name, each.check_name, each.value) for each in reading.rejects]
            for problem in problems(refused, reading.refused_newest_rows.get(0), answer.body):
                yield CheckResult(
                    "fail" if problem.is_error else "warn", account_id, f"{call.account.path}, {problem.words}"
                )
        elif not reading.accepted.height and reading.rejects:
            first = reading.rejects[0]
            why = f"holds no balance that can be read ({first.column_name}: {first.check_name}, found {first.value!r})"
            if first.check_name == "is_success":
                why = f"says that it failed ({first.value!r})"
            yield CheckResult("fail", account_id, f"{call.vendor.title}: its answer {why}")
