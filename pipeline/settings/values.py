"""The values of accounts.toml: each from what TOML holds, or a ValueError that says what it must be.

The words name neither file nor key, which the caller knows, nor the value, which may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from pipeline.schema.units import IN_USE, MONEY_PRECISION, MONEY_SCALE, MOST_AMOUNT, is_unit_code
from pipeline.settings.model import CreditPrice
from pipeline.support.errors import unknown

_Read = TypeVar("_Read")
_MOST_DAYS: Final = 36_500
_MOST_LEAD_DAYS: Final = 60
"""What takes longer to arrive than forecasts reach cannot be planned."""
_PRICE_KEYS: Final = ("from", "amount", "currency")
_FIRST_PRICE_DATE: Final = date(2000, 1, 1)
"""No credit was bought before. A price without a day stands before all that have one."""
ACCOUNT_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DECIMAL = re.compile(rf"-?[0-9]{{1,{MONEY_PRECISION - MONEY_SCALE}}}(\.[0-9]{{1,{MONEY_SCALE}}})?")


def shown_key(key: str) -> str:
    """A key as a message may hold it: one in quotes may be anything, and the line stays one line."""
    return key if _PLAIN_KEY.fullmatch(key) else ascii(key[:40])


def _decimal(value: Any) -> Decimal:
    # A TOML float has already lost digits, so money is written as a string; whole numbers are exact.
    is_small = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**40
    if not (isinstance(value, str) or is_small) or not _DECIMAL.fullmatch(str(value)):
        raise ValueError(f'must be an exact number in quotes, such as "12.50", with at most {MONEY_SCALE} decimals')
    number = Decimal(value)
    # What vendors are not believed beyond, the arithmetic need not hold, either.
    if abs(number) > MOST_AMOUNT:
        raise ValueError(f"must not be further from zero than {MOST_AMOUNT:,}")
    return number


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


def currency(value: Any) -> str:
    """An ISO 4217 code that is in use."""
    if not isinstance(value, str) or value not in IN_USE:
        raise ValueError("must be an ISO 4217 code such as EUR or USD")
    return value


def secret_variable(value: Any) -> str:
    """The name of a variable that holds a key."""
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise ValueError(
            "must be the NAME of an environment variable in capitals, such as VPSBG_API_KEY; never put a secret here"
        )
    return value


def notify_variable(value: Any) -> str:
    """The name of a variable that holds an Apprise URL."""
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise ValueError(
            "must be the NAME of an environment variable in capitals, such as DRAWDOWN_NOTIFY_URL; never put the "
            "URL itself here"
        )
    return value


def _former_ids(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) and ACCOUNT_ID.fullmatch(each) for each in value):
        raise ValueError('must be a list of account ids that it had before, such as ["old-id"]')
    return tuple(dict.fromkeys(value))


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
        raise ValueError(f"{where}: {shown_key(key)}: {unknown('key')}; known are {known}")
    for key in _PRICE_KEYS:
        if key not in entry:
            raise ValueError(f"{where}: {key}: is missing; a price has {known}")
    day = entry["from"]
    if not isinstance(day, date) or isinstance(day, datetime) or day < _FIRST_PRICE_DATE:
        raise ValueError(f"{where}: from: must be a day without quotes, such as 2026-06-01, not before 2000")
    return CreditPrice(
        from_date=day,
        amount=_within(where, "amount", _not_negative, entry),
        currency=_within(where, "currency", currency, entry),
    )


def _within(where: str, key: str, reader: Callable[[Any], _Read], entry: dict[str, Any]) -> _Read:
    try:
        return reader(entry[key])
    except ValueError as problem:
        raise ValueError(f"{where}: {key}: {problem}") from None


READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "path": _path,
    "history_days": _history_days,
    "team": _words,
    "tags": _tags,
    "alert_below_days": _days,
    "alert_below_amount": _decimal,
    "topup_lead_days": _lead_days,
    "topup_minimum_amount": _not_negative,
    "tax_rate": _rate,
    "notify_url_env": notify_variable,
    "formerly": _former_ids,
    "unit": _unit,
    "credit_price_amount": _not_negative,
    "credit_price_currency": currency,
    "credit_prices": _credit_prices,
}
"""By key, what reads an account's value."""
