"""One account of accounts.toml."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, Field, InstanceOf, ValidationInfo, model_validator

from pipeline.settings.budgets import BudgetSettings
from pipeline.settings.planned_spend import Plans
from pipeline.settings.table import Requirement, SettingsTable, check_keys, mistake
from pipeline.settings.values import (
    VARIABLE,
    AccountId,
    Amount,
    Currency,
    Days,
    FilePath,
    Flag,
    HistoryDays,
    LeadDays,
    NotNegative,
    PathPart,
    Share,
    Tags,
    Text,
    Unit,
    UrlVariable,
    VariableName,
    checked_url,
    is_loopback_url,
)
from pipeline.support.errors import unknown
from pipeline.support.secret import Secret, read_secret
from pipeline.vendors import declared_folder, discover
from pipeline.vendors._port import Vendor

DEFAULT_HISTORY_DAYS: Final = 400
"""How far back the first request of a ledger or usage listing reaches."""


class CreditPrice(SettingsTable):
    """Cost of one credit from a day on."""

    must_be: ClassVar[str] = 'must be a table, such as { from = 2026-06-01, amount = "0.008", currency = "USD" }'
    missing: ClassVar[str] = "a price has from, amount, currency"

    from_date: Annotated[
        date,
        # No credit was bought before 2000. A price without a day precedes all others.
        Field(ge=date(2000, 1, 1)),
        Requirement("must be a day without quotes, such as 2026-06-01, not before 2000"),
    ] = Field(validation_alias="from")
    amount: NotNegative
    currency: Currency
    """ISO 4217."""


def _by_day(prices: tuple[CreditPrice, ...]) -> tuple[CreditPrice, ...]:
    days: set[date] = set()
    for number, price in enumerate(prices, 1):
        if price.from_date in days:
            raise mistake(f"price {number}: from: a second price from {price.from_date} on")
        days.add(price.from_date)
    return tuple(sorted(prices, key=lambda price: price.from_date))


KeyVariable = Annotated[VariableName, Requirement(f"{VARIABLE}VPSBG_API_KEY; never put a secret here")]


class OwnerSettings(BudgetSettings):
    """Settings that the owner may make for an account of any vendor."""

    path: FilePath | None = None
    """CSV file of readings kept by hand: the account's only readings, or its history from before Drawdown."""
    history_days: HistoryDays = DEFAULT_HISTORY_DAYS
    team: Text | None = None
    tags: Tags = Field(default={})
    alert_below_days: Days | None = None
    alert_below_amount: Amount | None = None
    topup_lead_days: LeadDays | None = None
    topup_minimum_amount: NotNegative | None = None
    tax_rate: Share | None = None
    notify_variable: UrlVariable | None = Field(default=None, validation_alias="notify_url_env")
    """Environment variable with the Apprise URL of additional recipients for this account."""
    formerly: Annotated[
        tuple[AccountId, ...],
        Field(strict=False),
        AfterValidator(lambda ids: tuple(dict.fromkeys(ids))),
        # One sentence for the list and its ids, because a line cannot show which of them is wrong.
        Requirement('must be a list of account ids that it had before, such as ["old-id"]', is_for_parts=True),
    ] = ()
    """Former ids of the account, whose history is its own."""
    planned: Plans = ()
    """Several may be for the same days."""
    ignore_date_header: Flag = False
    """The vendor's servers state a wrong time: their Date header is not compared with this machine's clock."""


def taken_keys(vendor: Vendor) -> list[str]:
    """Keys that a vendor's declaration calls its own although they mean something else for every account."""
    taken = {"vendor", "base_url", *OwnerSettings.keys(), *vendor.settings}
    return sorted(taken & {*vendor.secret_settings, *vendor.placeholders})


class AccountSettings(OwnerSettings):
    """One account: where to request its data, and its owner's settings."""

    account_id: str = ""
    vendor: InstanceOf[Vendor]
    base_url: str
    """Empty if the account has no API."""
    secret_variables: dict[str, KeyVariable]
    """accounts.toml key -> environment variable, such as `api_key_env` -> `VPSBG_API_KEY`."""
    placeholders: dict[str, PathPart] = Field(default={})
    """accounts.toml key -> value that replaces `{key}` in the paths of requests."""
    source: str = "accounts.toml"

    # Settings of some vendors only: `Vendor.settings` names them.
    unit: Unit | None = None
    credit_price_amount: NotNegative | None = None
    credit_price_currency: Currency | None = None
    credit_prices: Annotated[
        tuple[CreditPrice, ...],
        Field(min_length=1, strict=False),
        AfterValidator(_by_day),
        Requirement('must be a list of prices, such as [{ from = 2026-06-01, amount = "0.008", currency = "USD" }]'),
    ] = ()
    """By day; before the first of them `credit_price_amount` applies, if it is set."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, table: Any, info: ValidationInfo) -> Any:
        if info.context is None:
            return table
        if not isinstance(table, dict):
            raise mistake("must be a table: [accounts.ID]")
        vendors = discover()
        name = table.get("vendor")
        if not isinstance(name, str) or name not in vendors:
            wrong = "is missing" if name is None else unknown("vendor")
            known = ", ".join(vendors)
            raise mistake(f"vendor: {wrong}; known vendors: {known}; another can be declared in {declared_folder()}")
        vendor = vendors[name]
        if taken := taken_keys(vendor):
            raise mistake(
                f"vendor: {vendor.name} declares {taken[0]} as its own, a key of every account: rename it there"
            )
        secrets = vendor.secret_settings
        keys = {"vendor", *secrets, *OwnerSettings.keys(), *vendor.settings, *vendor.placeholders}
        if vendor.base_url is not None:
            keys.add("base_url")
        elif "path" not in table:
            raise mistake("path: is missing; give the path of the CSV file")
        check_keys(table, keys, sorted(keys), what=f"key for {vendor.title}")
        for key in secrets:
            if key not in table:
                raise mistake(f"{key}: is missing; give the NAME of the environment variable")
        for key, what in vendor.placeholders.items():
            if key not in table:
                raise mistake(f"{key}: is missing; give the {what}")
        collected = {*secrets, *vendor.placeholders}
        return {
            **{key: value for key, value in table.items() if key not in collected},
            "vendor": vendor,
            "base_url": ""
            if vendor.base_url is None
            else _base_url(table.get("base_url", vendor.base_url), loopback=info.context["loopback"]),
            "secret_variables": {key: table[key] for key in secrets},
            "placeholders": {key: table[key] for key in vendor.placeholders},
            "source": info.context["source"],
        }

    @model_validator(mode="after")
    def _price_has_its_currency(self) -> Self:
        pair = ("credit_price_amount", "credit_price_currency")
        for one, other in (pair, pair[::-1]):
            if getattr(self, one) is not None and getattr(self, other) is None:
                raise mistake(f"{other}: is missing; {one} and {other} go together")
        return self

    @property
    def is_loopback(self) -> bool:
        """Whether its answers come from this machine, as a sandbox's do."""
        return not self.base_url or is_loopback_url(self.base_url)

    def service(self) -> dict[str, str | None]:
        """FOCUS names of the vendor and its service; an account of readings kept by hand is named after itself."""
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
        """Read the account's secrets, by accounts.toml key, from the environment.

        Raises UsageError with the account and the variable, never a value, if one is missing or unusable.
        """
        where = f"{self.source}: account {self.account_id}"
        return {key: read_secret(variable, f"{where}: {key}") for key, variable in self.secret_variables.items()}


def _base_url(given: Any, *, loopback: bool) -> str:
    return checked_url(given, "base_url: ", example="https://api.example.com/v1", loopback=loopback)
