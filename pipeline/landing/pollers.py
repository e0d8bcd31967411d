"""Runs that share the requests: each makes those of some accounts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from pipeline.http import scope_value
from pipeline.landing.vendorclocks import origin_of_account
from pipeline.settings import AccountSettings, Settings
from pipeline.support.errors import UsageError


@dataclass(frozen=True, slots=True)
class Poller:
    """One of `count` runs, numbered from 1."""

    number: int
    count: int

    @classmethod
    def of(cls, settings: Settings, number: int) -> Self:
        """The poller of this number. Raises UsageError if the settings have fewer."""
        count = settings.poller_count
        if not 1 <= number <= count:
            raise UsageError(f"there is no poller {number}: {settings.source} has spark.pollers = {count}")
        return cls(number, count)

    def accounts(self, accounts: Iterable[AccountSettings]) -> list[AccountSettings]:
        """The accounts whose requests this poller makes.

        Accounts that a vendor's rate limit counts together have the same poller, so that no limit is shared by two.
        Raises UsageError if a secret is missing or unusable.
        """
        return [account for account, poller in pollers_of(accounts, self.count) if poller == self.number]


def pollers_of(accounts: Iterable[AccountSettings], count: int) -> Iterator[tuple[AccountSettings, int]]:
    """Yield each account with the number of its poller, which depends on no other account.

    Raises UsageError if a secret is missing or unusable.
    """
    for account in accounts:
        digest = hashlib.sha256(_counted_together(account).encode()).digest()
        yield account, 1 + int.from_bytes(digest[:8], "big") % count


def _counted_together(account: AccountSettings) -> str:
    """What the vendor's rate limit is counted for; of an account without requests its id."""
    vendor = account.vendor
    if vendor.base_url is None:
        return account.account_id
    secrets = account.secrets().values()
    scope = scope_value(vendor.rate_limit, secrets, account.account_id, origin_of_account(account))
    return f"{vendor.name}\0{scope}"
