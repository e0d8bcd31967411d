"""accounts.toml and the environment, read into typed settings.

Every mistake is one line that names the file, the account and the key, before any request; never the value, for it
may be a secret in the wrong place. Settings hold the *names* of the variables that hold secrets;
`AccountSettings.secrets` reads them late, and nothing prints them.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from pipeline.alerts.policy import Policy, read_policy
from pipeline.errors import UsageError
from pipeline.http import check_base_url
from pipeline.schema.units import ISO_4217, MONEY_PRECISION, MONEY_SCALE, is_unit_code
from pipeline.secret import Secret
from pipeline.targets import PostgresTarget, read_publish
from pipeline.vendors import discover
from pipeline.vendors._port import Vendor

DEFAULT_HISTORY_DAYS: Final = 400
"""How far the first look at a ledger or usage listing goes back."""

_Read = TypeVar("_Read")
_MOST_DAYS: Final = 36_500
_MOST_LEAD_DAYS: Final = 60
"""What takes longer to arrive than forecasts reach cannot be planned."""
_CREDIT_PRICE: Final = ("credit_price_amount", "credit_price_currency")
_PRICE_KEYS: Final = ("from", "amount", "currency")
_FIRST_PRICE_DATE: Final = date(2000, 1, 1)
"""No credit was bought before. A price without a day stands before all that have one."""
_ACCOUNT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DECIMAL = re.compile(rf"-?[0-9]{{1,{MONEY_PRECISION - MONEY_SCALE}}}(\.[0-9]{{1,{MONEY_SCALE}}})?")
_SECRET_LIKE = re.compile(r"(?i)(api_?key|secret|token|password|passwd|credential|bearer|client_id)$")


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
                known = ", ".join(self.accounts) or "none"
                raise UsageError(f"{self.source}: there is no account {account_id!r}; it knows: {known}")
        return [each for each in self.accounts.values() if not account_ids or each.account_id in account_ids]

    def to_record(self) -> dict[str, Any]:
        """The settings as landed with each run: plain values, decimals as text, nothing secret."""
        return {
            "reporting_currency": self.reporting_currency,
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
                    **each.service(),
                }
                for each in self.accounts.values()
            },
        }


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def accounts_path() -> Path:
    """The file that `DRAWDOWN_ACCOUNTS` names, else `./accounts.toml`."""
    return Path(os.environ.get("DRAWDOWN_ACCOUNTS") or "accounts.toml")


def load(path: Path | None = None) -> Settings:
    """Read and check accounts.toml.

    Raises UsageError with one line that names the file, the account and the key.
    """
    path = path or accounts_path()
    try:
        # Some editors begin a file with a byte order mark, which TOML does not know.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; `drawdown init` writes one to start from") from None
    except OSError as problem:
        raise UsageError(f"{path}: cannot be read: {problem.strerror}; DRAWDOWN_ACCOUNTS names the file") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path}: is not UTF-8: {problem.reason} at byte {problem.start}") from None
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path}: not TOML that can be read: nested too deeply") from None
    except ValueError as problem:
        # tomllib's own words hold a key or position, never a value.
        hint = " (is an account or a key there twice?)" if re.search("twice|overwrite", str(problem)) else ""
        raise UsageError(f"{path}: not TOML: {problem}{hint}") from None
    return _Reader(str(path)).settings(document)


class _Reader:
    """Turns a TOML document into settings, or into the first line that says what is wrong."""

    def __init__(self, source: str) -> None:
        self.source = source

    def fail(self, message: str, account_id: str | None = None, key: str | None = None) -> UsageError:
        # A quoted key may hold anything, and the line stays one line.
        shown = key if key is None or _PLAIN_KEY.fullmatch(key) else ascii(key[:40])
        where = [self.source, f"account {account_id}" if account_id else "", shown or ""]
        return UsageError(": ".join([*filter(None, where), message]))

    def settings(self, document: dict[str, Any]) -> Settings:
        for key in sorted(document.keys() - {*_TOP, "alerts", "accounts"}):
            if _SECRET_LIKE.search(key):
                raise self.fail(_PLAIN_TEXT, key=key)
            raise self.fail(f"unknown key; known are {', '.join(_TOP)}, [alerts], [accounts.ID]", key=key)
        try:
            currency = _currency(document.get("reporting_currency", "EUR"))
        except ValueError as problem:
            raise self.fail(str(problem), key="reporting_currency") from None
        loopback = document.get("allow_http_loopback", False)
        if not isinstance(loopback, bool):
            raise self.fail("must be true or false", key="allow_http_loopback")
        try:
            variable = _notify_variable(document["notify_url_env"]) if "notify_url_env" in document else None
        except ValueError as problem:
            raise self.fail(str(problem), key="notify_url_env") from None
        try:
            alerts = read_policy(document.get("alerts", {}))
        except ValueError as problem:
            raise self.fail(str(problem), key="alerts") from None
        try:
            postgres = read_publish(self.source, document.get("publish", {}))
        except ValueError as problem:
            raise self.fail(str(problem), key="publish") from None
        tables = document.get("accounts", {})
        if not isinstance(tables, dict) or not tables:
            raise self.fail("names no account; add a table such as [accounts.vpsbg-main]", key="accounts")
        accounts = {
            account_id: self.account(account_id, table, loopback=loopback) for account_id, table in tables.items()
        }
        return Settings(
            source=self.source,
            reporting_currency=currency,
            allow_http_loopback=loopback,
            notify_variable=variable,
            postgres=postgres,
            accounts=accounts,
            alerts=alerts,
        )

    def account(self, account_id: str, table: Any, *, loopback: bool) -> AccountSettings:
        if not _ACCOUNT_ID.fullmatch(account_id):
            raise self.fail(
                f"unsafe account id {account_id[:40]!a}; use small letters, digits, - and _, at most 63",
                key="accounts",
            )
        if not isinstance(table, dict):
            raise self.fail("must be a table: [accounts.ID]", account_id)
        vendors = discover()
        name = table.get("vendor")
        if not isinstance(name, str) or name not in vendors:
            wrong = "is missing" if name is None else "unknown vendor"
            raise self.fail(f"{wrong}; known are {', '.join(vendors)}", account_id, "vendor")
        vendor = vendors[name]
        secret_keys = tuple(dict.fromkeys(header.setting for header in vendor.auth))
        known_keys = {"vendor", *secret_keys, *_COMMON, *vendor.settings}
        if vendor.base_url is not None:
            known_keys.add("base_url")
        elif "path" not in table:
            raise self.fail("is missing; give the path of the CSV file", account_id, "path")
        for key in sorted(table.keys() - known_keys):
            if _SECRET_LIKE.search(key):
                raise self.fail(_PLAIN_TEXT, account_id, key)
            raise self.fail(
                f"unknown key for {vendor.title}; known are {', '.join(sorted(known_keys))}", account_id, key
            )
        variables = {}
        for key in secret_keys:
            value = table.get(key)
            if value is None:
                raise self.fail("is missing; give the NAME of the environment variable", account_id, key)
            if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
                raise self.fail(
                    "must be the NAME of an environment variable in capitals, such as VPSBG_API_KEY; "
                    "never put a secret here",
                    account_id,
                    key,
                )
            variables[key] = value
        base_url = ""
        if vendor.base_url is not None:
            base_url = self.base_url(account_id, table.get("base_url", vendor.base_url), loopback=loopback)
        values = {}
        for key in sorted((set(_COMMON) | set(vendor.settings)) & table.keys()):
            try:
                values[key] = _READERS[key](table[key])
            except ValueError as problem:
                raise self.fail(str(problem), account_id, key) from None
        if "notify_url_env" in values:
            values["notify_variable"] = values.pop("notify_url_env")
        if "path" in values:
            values["path"] = Path(self.source).absolute().parent / values["path"]
        for one, other in (_CREDIT_PRICE, _CREDIT_PRICE[::-1]):
            if one in values and other not in values:
                raise self.fail(f"is missing; {one} and {other} go together", account_id, other)
        return AccountSettings(
            account_id=account_id,
            vendor=vendor,
            base_url=base_url,
            secret_variables=variables,
            source=self.source,
            **values,
        )

    def base_url(self, account_id: str, given: Any, *, loopback: bool) -> str:
        if not isinstance(given, str):
            raise self.fail("must be a text in quotes, such as https://api.example.com/v1", account_id, "base_url")
        try:
            return check_base_url(given, allow_http_loopback=loopback)
        except ValueError as problem:
            # The address is left out: it may hold a key, and the line names its place already.
            reason = str(problem).removeprefix("base_url").replace(repr(given), "").strip()
            raise self.fail(reason, account_id, "base_url") from None


_PLAIN_TEXT: Final = (
    "looks like a secret in plain text; put the secret into an environment variable and its NAME under a key "
    "such as api_key_env"
)


def _decimal(value: Any) -> Decimal:
    # A TOML float has already lost digits, so money is written as a string; whole numbers are exact.
    is_small = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**40
    if not (isinstance(value, str) or is_small) or not _DECIMAL.fullmatch(str(value)):
        raise ValueError(f'must be an exact number in quotes, such as "12.50", with at most {MONEY_SCALE} decimals')
    return Decimal(value)


def _not_negative(value: Any) -> Decimal:
    number = _decimal(value)
    if number < 0:
        raise ValueError("must not be negative")
    return number


def _rate(value: Any) -> Decimal:
    rate = _decimal(value)
    if not 0 <= rate <= 1:
        raise ValueError('must be a share between 0 and 1 in quotes, such as "0.20" for 20 %')
    return rate


def _days(value: Any) -> Decimal:
    return Decimal(_whole_days(value, least=0))


def _lead_days(value: Any) -> Decimal:
    return Decimal(_whole_days(value, least=0, most=_MOST_LEAD_DAYS))


def _history_days(value: Any) -> int:
    return _whole_days(value, least=1)


def _whole_days(value: Any, *, least: int, most: int = _MOST_DAYS) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"must be a whole number of days between {least} and {most}")
    return value


def _words(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or not value.isprintable():
        raise ValueError("must be a text in quotes, of one line and at most 200 characters")
    return value


def _path(value: Any) -> Path:
    try:
        return Path(_words(value)).expanduser()
    except RuntimeError:
        raise ValueError("begins with the home folder of a user who is not known here") from None


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise ValueError('must be a table of texts, such as { product = "shop" }')
    return {_words(key): _words(each) for key, each in value.items()}


def _unit(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or not is_unit_code(value):
        raise ValueError("must be an ISO 4217 code such as INR, or a vendor's unit such as voxpria-credit")
    return value


def _currency(value: Any) -> str:
    if not isinstance(value, str) or value not in ISO_4217:
        raise ValueError("must be an ISO 4217 code such as EUR or USD")
    return value


def _notify_variable(value: Any) -> str:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise ValueError(
            "must be the NAME of an environment variable in capitals, such as DRAWDOWN_NOTIFY_URL; never put the "
            "URL itself here"
        )
    return value


def _credit_prices(value: Any) -> tuple[CreditPrice, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        raise ValueError(
            'must be a list of prices, such as [{ from = 2026-06-01, amount = "0.008", currency = "USD" }]'
        )
    prices: dict[date, CreditPrice] = {}
    for number, entry in enumerate(value, 1):
        price = _credit_price(entry, f"price {number}")
        if price.from_date in prices:
            raise ValueError(f"price {number}: from: a second price from {price.from_date} on")
        prices[price.from_date] = price
    return tuple(prices[day] for day in sorted(prices))


def _credit_price(entry: dict[str, Any], where: str) -> CreditPrice:
    known = ", ".join(_PRICE_KEYS)
    for key in sorted(entry.keys() - set(_PRICE_KEYS)):
        shown = key if _PLAIN_KEY.fullmatch(key) else ascii(key[:40])
        raise ValueError(f"{where}: {shown}: unknown key; known are {known}")
    for key in _PRICE_KEYS:
        if key not in entry:
            raise ValueError(f"{where}: {key}: is missing; a price has {known}")
    day = entry["from"]
    if not isinstance(day, date) or isinstance(day, datetime) or day < _FIRST_PRICE_DATE:
        raise ValueError(f"{where}: from: must be a day without quotes, such as 2026-06-01, not before 2000")
    return CreditPrice(
        from_date=day,
        amount=_within(where, "amount", _not_negative, entry),
        currency=_within(where, "currency", _currency, entry),
    )


def _within(where: str, key: str, reader: Callable[[Any], _Read], entry: dict[str, Any]) -> _Read:
    try:
        return reader(entry[key])
    except ValueError as problem:
        raise ValueError(f"{where}: {key}: {problem}") from None


_TOP: Final = ("reporting_currency", "allow_http_loopback", "notify_url_env", "publish")
_COMMON: Final = (
    "path",
    "history_days",
    "team",
    "tags",
    "alert_below_days",
    "alert_below_amount",
    "topup_lead_days",
    "topup_minimum_amount",
    "tax_rate",
    "notify_url_env",
)
_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "path": _path,
    "history_days": _history_days,
    "team": _words,
    "tags": _tags,
    "alert_below_days": _days,
    "alert_below_amount": _decimal,
    "topup_lead_days": _lead_days,
    "topup_minimum_amount": _not_negative,
    "tax_rate": _rate,
    "notify_url_env": _notify_variable,
    "unit": _unit,
    "credit_price_amount": _not_negative,
    "credit_price_currency": _currency,
    "credit_prices": _credit_prices,
}
