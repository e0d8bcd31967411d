"""Amounts of a campaign in other units: minutes, calls, or a currency, in the unit of the account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Any, Final

import duckdb

from pipeline.schema.units import MONEY_SCALE, is_vendor_unit
from pipeline.support.errors import DrawdownError, UsageError
from pipeline.support.wording import amount, exact_amount
from pipeline.vendors import discover

_CALLS_DAYS: Final = 28
_EURO: Final = "EUR"

# The newest rate of a currency, or the fixed one of a currency that became the euro; the euro itself has none.
_RATE: Final = """
    SELECT eur_rate, rate_date FROM (
        SELECT unit_code, eur_rate, rate_date FROM core.fx_rates
        UNION ALL SELECT unit_code, eur_rate, from_date FROM core.fixed_rates
    ) WHERE unit_code = ? ORDER BY rate_date DESC LIMIT 1
"""
_PRICE: Final = """
    SELECT price_amount, price_unit_code FROM core.credit_prices
    WHERE account_id = ? AND unit_code = ? ORDER BY from_date DESC LIMIT 1
"""
_CALLS: Final = """
    SELECT usage_unit, sum(credits_amount) / nullif(CAST(sum(usage_quantity) AS DECIMAL(18, 3)), 0) AS price
    FROM (
        SELECT *, max(usage_date) OVER () AS last_date FROM core.usage_days WHERE account_id = ? AND unit_code = ?
    )
    WHERE usage_date > last_date - ? AND usage_quantity > 0 GROUP BY usage_unit
"""


@dataclass(frozen=True, slots=True)
class Priced:
    """An amount in the unit of an account."""

    amount: Decimal
    how: str = ""
    """How it follows from what was asked for, in one sentence; empty if it is in that unit already."""


def in_account_unit(
    connection: duckdb.DuckDBPyConnection, account: Mapping[str, Any], asked: Decimal, unit: str | None
) -> Priced:
    """Convert an amount to the unit of an account, rounded up to nine decimals.

    `account` is a row of core.accounts. `unit` is the account's own, `credits` for a vendor's credits, a unit of the
    vendor's price list, `calls` or what else the vendor counts, or a currency. Raises UsageError for any other,
    DrawdownError if no price or rate is known.
    """
    own = account["unit_code"]
    if unit is None or unit.casefold() == own.casefold() or (unit.casefold() == "credits" and own.endswith("-credit")):
        return Priced(asked)
    prices = _prices(connection, account)
    name = next((each for each in prices if unit.casefold() in (each, each.removesuffix("s"))), None)
    if name is not None:
        price, source = prices[name]
        return Priced(_exact(asked * price), f"{asked.normalize():f} {name} at {amount(price, own)} each, {source}.")
    if len(unit) == 3 and unit.isalpha():
        return _of_currency(connection, account, asked, unit.upper())
    known = ", ".join([own, *(["credits"] if own.endswith("-credit") else []), *prices])
    raise UsageError(f"--unit {unit}: this account knows {known}, and currencies such as EUR")


def _prices(connection: duckdb.DuckDBPyConnection, account: Mapping[str, Any]) -> dict[str, tuple[Decimal, str]]:
    """Price and its source by what is counted, in lower case and plural."""
    own = account["unit_code"]
    found: dict[str, tuple[Decimal, str]] = {}
    for name, price in connection.execute(_CALLS, [account["account_id"], own, _CALLS_DAYS]).fetchall():
        if name and price and price > 0:
            found[name] = Decimal(price), f"the mean of the last {_CALLS_DAYS} days with usage"
    vendor = discover().get(account["vendor"])
    if vendor is not None and vendor.unit_code == own:
        found |= {name: (Decimal(price), "the vendor's price list") for name, price in vendor.usage_prices.items()}
    return found


def _of_currency(
    connection: duckdb.DuckDBPyConnection, account: Mapping[str, Any], asked: Decimal, currency: str
) -> Priced:
    own, words, money = account["unit_code"], [], asked
    price, target = Decimal(1), own
    if is_vendor_unit(own):
        rows = connection.execute(_PRICE, [account["account_id"], own]).fetchall()
        if not rows:
            raise DrawdownError(
                f"account {account['account_id']}: the price of {own} is not known, so {currency} cannot be converted: "
                "set credit_price_amount, or give the amount in credits"
            )
        price, target = rows[0]
        words.append(f"{exact_amount(price, target)} for each {own}")
    if currency != target:
        (asked_rate, asked_day), (target_rate, target_day) = (_rate(connection, each) for each in (currency, target))
        with localcontext(prec=60):
            money = asked / asked_rate * target_rate
        words.append(f"the exchange rate of {min(filter(None, (asked_day, target_day)))}")
    with localcontext(prec=60):
        exact = _exact(money / price)
    return Priced(exact, f"{amount(asked, currency)} at {' and '.join(words)}.")


def _rate(connection: duckdb.DuckDBPyConnection, currency: str) -> tuple[Decimal, Any]:
    if currency == _EURO:
        return Decimal(1), None
    rows = connection.execute(_RATE, [currency]).fetchall()
    if not rows:
        raise DrawdownError(f"no exchange rate of {currency} is known; give the amount in the unit of the account")
    rate, day = rows[0]
    return rate, day


def _exact(value: Decimal) -> Decimal:
    with localcontext(prec=60):
        return value.quantize(Decimal(1).scaleb(-MONEY_SCALE), rounding=ROUND_CEILING)
