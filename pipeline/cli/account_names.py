"""Accounts with several names, at one time or over time, as `doctor` and `explain` report them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from pipeline.cli.machine_checks import CheckResult
from pipeline.landing.runs import holds_account, recent_records
from pipeline.settings import Settings, compare, identify, known_key, load
from pipeline.settings.identity import dropped_words, duplicate_words, lookalike_words, reused_words
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home

_DAYS: Final = 7
"""Days for which an account that looks like an earlier one is reported: long enough to be noticed, not permanently."""


def same_accounts(settings: Settings, home: Home) -> Iterator[CheckResult]:
    """Report duplicates, accounts that were or may have been renamed lately, and unknown former ids."""
    now = _record(settings, home)
    accounts = now["accounts"]
    records = [*recent_records(home.landing, datetime.now(UTC), _DAYS), now]
    renames, lookalikes = _changes(records)
    for one, others in compare(None, now).duplicates.items():
        yield CheckResult("warn", one, duplicate_words(one, others, accounts[one]["vendor"], settings.source))
    for old, new in renames.items():
        yield CheckResult("ok", new, f"was called {old} until recently, and keeps its history")
    for new, alike in lookalikes.items():
        yield CheckResult("warn", new, lookalike_words(new, alike, settings.source))
    for old, new in compare(records[-2] if records[1:] else None, now).reused.items():
        yield CheckResult("warn", new, reused_words(old, new))
    for new, lost in _dropped(records).items():
        yield CheckResult("warn", new, dropped_words(new, lost))
    for account in settings.accounts.values():
        for old in account.formerly:
            if not holds_account(home.landing, account.vendor, old):
                yield CheckResult(
                    "warn",
                    account.account_id,
                    f"formerly names {old}, for which landing has no answer from {account.vendor.title}; correct the "
                    "name, or remove it",
                )


def _dropped(records: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Accounts, and former ids that were removed from their settings lately and not put back."""
    accounts = records[-1]["accounts"]
    said = {name for each in accounts.values() for name in each["formerly"]}
    found: dict[str, tuple[str, ...]] = {}
    for earlier, later in pairwise(records):
        found |= compare(earlier, later).dropped
    still = {new: tuple(old for old in lost if old not in {*said, *accounts}) for new, lost in found.items()}
    return {new: lost for new, lost in still.items() if lost and new in accounts}


def new_id(home: Home, account_id: str) -> str | None:
    """Current name of an account of an earlier accounts.toml; None if no rename is known."""
    try:
        settings = load()
    except DrawdownError:
        return None
    if account_id in settings.accounts:
        return None
    for account in settings.accounts.values():
        if account_id in account.formerly:
            return account.account_id
    records = recent_records(home.landing, datetime.now(UTC), _DAYS)
    renames, _ = _changes([*records, _record(settings, home)])
    return renames.get(account_id)


def _record(settings: Settings, home: Home) -> dict[str, Any]:
    """Run record that a run would land now.

    Uses a temporary key if no run has created one, because reporting writes nothing.
    """
    return settings.to_record(identify(settings.accounts.values(), known_key(home) or os.urandom(32)))


def _changes(records: list[dict[str, Any]]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Renames between successive records, and lookalikes that the last record leaves open."""
    accounts = records[-1]["accounts"]
    renames: dict[str, str] = {}
    lookalikes: dict[str, tuple[str, ...]] = {}
    for earlier, later in pairwise(records):
        found = compare(earlier, later)
        # An account that was renamed twice has its last name.
        renames = {old: found.renames.get(new, new) for old, new in renames.items()} | dict(found.renames)
        lookalikes |= found.lookalikes
    current = {old: new for old, new in renames.items() if old not in accounts and new in accounts}
    settled = {*current.values(), *(name for name, each in accounts.items() if each["formerly"])}
    open_ones = {
        new: tuple(old for old in alike if old not in accounts and old not in current)
        for new, alike in lookalikes.items()
        if new in accounts and new not in settled
    }
    return current, {new: alike for new, alike in open_ones.items() if alike}
