"""What accounts.toml says, typed: the accounts, and what their owner wants of each and of all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pipeline.schema.severities import EVERY_ACCOUNT
from pipeline.settings.alert_policy import Policy
from pipeline.settings.publish_targets import PostgresTarget
from pipeline.support.errors import UsageError
from pipeline.support.secret import Secret
from pipeline.vendors._port import Vendor

DEFAULT_HISTORY_DAYS: Final = 400
"""How far the first look at a ledger or usage listing goes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditPrice:
    """What one credit cost from a day on."""

    from_date: date
    amount: Decimal
    currency: str
    """ISO 4217."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """One account: where its answers are and what its owner wants of it."""

    account_id: str
    vendor: Vendor
    base_url: str
    """Empty where the account has no API."""
    path: Path | None = None
    """A CSV file of readings kept by hand: the account's only ones, or history from before Drawdown. Absolute."""
    secret_variables: Mapping[str, str]
    """accounts.toml key -> environment variable, such as `api_key_env` -> `VPSBG_API_KEY`."""
    history_days: int = DEFAULT_HISTORY_DAYS
    team: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    alert_below_days: Decimal | None = None
    alert_below_amount: Decimal | None = None
    topup_lead_days: Decimal | None = None
    topup_minimum_amount: Decimal | None = None
    tax_rate: Decimal | None = None
    unit: str | None = None
    credit_price_amount: Decimal | None = None
    credit_price_currency: str | None = None
    credit_prices: tuple[CreditPrice, ...] = ()
    """By day; before the first of them `credit_price_amount` holds, where it is given."""
    notify_variable: str | None = None
    """The environment variable that holds the Apprise URL of whom to tell of this account, too."""
    formerly: tuple[str, ...] = ()
    """Ids that the account had before, whose history is its own."""
    source: str = "accounts.toml"

    @property
    def is_loopback(self) -> bool:
        """Its answers come from this machine, as a sandbox's do."""
        if not self.base_url:
            return True
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def service(self) -> dict[str, str | None]:
        """What FOCUS calls the vendor and what it sells; readings kept by hand are of what the account is named for."""
        provider = self.account_id if self.vendor.base_url is None else self.vendor.title
        service = self.vendor.service
        return {
            "ServiceProviderName": provider,
            "ServiceName": service.name or provider,
            "ServiceCategory": service.category,
            "ServiceSubcategory": service.subcategory,
            "PricingCurrency": service.virtual_currency,
        }

    def secrets(self) -> dict[str, Secret]:
        """The account's secrets by accounts.toml key, read from the environment now.

        Raises UsageError naming the account and the variable, never a value, where one is absent or unusable.
        """
        found = {}
        for setting, variable in self.secret_variables.items():
            where = f"{self.source}: account {self.account_id}: {setting}"
            value = os.environ.get(variable)
            if value is None:
                raise UsageError(f"{where}: the environment variable {variable} is not set; export it first")
            try:
                found[setting] = Secret(value, name=variable)
            except ValueError as problem:
                raise UsageError(f"{where}: {problem}") from None
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Where an account's answers come from, hashed with the state folder's key."""

    identity: str | None
    """Of vendor, address and secrets; None where a secret cannot be read."""
    address_hash: str
    """Of vendor and address alone."""
    same_as: str | None = None
    """The account that this one duplicates: the first in accounts.toml with the same identity."""


@dataclass(frozen=True, slots=True)
class Identities:
    """The identities of all configured accounts, by account id."""

    key_id: str
    """Names the key: hashes made with two keys cannot be compared."""
    accounts: Mapping[str, Identity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of accounts.toml."""

    source: str
    reporting_currency: str
    allow_http_loopback: bool
    notify_variable: str | None
    """The environment variable that holds the Apprise URL of whom to tell of every account."""
    accounts: Mapping[str, AccountSettings]
    alerts: Policy = field(default_factory=Policy)
    postgres: PostgresTarget | None = None
    """Which PostgreSQL gets a copy of each build."""

    def recipients(self) -> dict[str, tuple[str, ...]]:
        """By account, the variables that hold the Apprise URLs of whom to tell of it; none twice."""
        return {
            each.account_id: tuple(dict.fromkeys(filter(None, (self.notify_variable, each.notify_variable))))
            for each in self.accounts.values()
        }

    def alert_recipients(self) -> dict[str, tuple[str, ...]]:
        """`recipients`, and under EVERY_ACCOUNT whom to tell of what concerns runs as a whole.

        Those are who is told of every account; where there is nobody such, all who are told of any.
        """
        by_account = self.recipients()
        everybody = tuple(dict.fromkeys(name for names in by_account.values() for name in names))
        return {**by_account, EVERY_ACCOUNT: (self.notify_variable,) if self.notify_variable else everybody}

    def notify_url(self, variable: str) -> Secret:
        """The Apprise URL that a variable holds.

        Raises UsageError where the variable is not set or holds no URL.
        """
        account = next((each.account_id for each in self.accounts.values() if each.notify_variable == variable), None)
        whose = f"account {account}: " if account and variable != self.notify_variable else ""
        where = f"{self.source}: {whose}notify_url_env"
        value = os.environ.get(variable)
        if value is None:
            raise UsageError(f"{where}: the environment variable {variable} is not set; export it first")
        try:
            return Secret(value, name=variable)
        except ValueError as problem:
            raise UsageError(f"{where}: {problem}") from None

    def check_recipients(self) -> None:
        """Raise UsageError where a variable that the settings name for messages is not set or holds no URL."""
        for variable in dict.fromkeys(name for names in self.recipients().values() for name in names):
            self.notify_url(variable)

    def select(self, account_ids: list[str]) -> list[AccountSettings]:
        """The accounts of those ids, or all for none; UsageError for an id that is not there."""
        for account_id in account_ids:
            if account_id not in self.accounts:
                for each in self.accounts.values():
                    if account_id in each.formerly:
                        raise UsageError(f"{self.source}: account {account_id} is called {each.account_id} now")
                known = ", ".join(self.accounts) or "none"
                raise UsageError(f"{self.source}: there is no account {account_id!r}; it knows: {known}")
        return [each for each in self.accounts.values() if not account_ids or each.account_id in account_ids]

    def to_record(self, identities: Identities | None = None) -> dict[str, Any]:
        """The settings as landed with each run: plain values, decimals as text, nothing secret.

        Without `identities`, no account is known to be another one's duplicate.
        """
        known = identities.accounts if identities else {}
        return {
            "reporting_currency": self.reporting_currency,
            "identity_key_id": identities.key_id if identities else None,
            "accounts": {
                each.account_id: {
                    "vendor": each.vendor.name,
                    "unit_code": each.unit or each.vendor.unit_code,
                    "tax_basis": each.vendor.tax_basis,
                    "stale_after_seconds": str(int(each.vendor.stale_after.total_seconds())),
                    "team": each.team,
                    "tags": dict(sorted(each.tags.items())),
                    "alert_below_days": _plain(each.alert_below_days),
                    "alert_below_amount": _plain(each.alert_below_amount),
                    "topup_lead_days": _plain(each.topup_lead_days),
                    "topup_minimum_amount": _plain(each.topup_minimum_amount),
                    "tax_rate": _plain(each.tax_rate),
                    "credit_price_amount": _plain(each.credit_price_amount),
                    "credit_price_unit_code": each.credit_price_currency,
                    "credit_prices": [
                        {
                            "from_date": price.from_date.isoformat(),
                            "price_amount": _plain(price.amount),
                            "price_unit_code": price.currency,
                        }
                        for price in each.credit_prices
                    ],
                    "identity": known[each.account_id].identity if known else None,
                    "address_hash": known[each.account_id].address_hash if known else None,
                    "same_as": known[each.account_id].same_as if known else None,
                    "formerly": list(each.formerly),
                    **each.service(),
                }
                for each in self.accounts.values()
            },
        }


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
