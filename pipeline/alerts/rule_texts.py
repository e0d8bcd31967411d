"""Message texts of the rules that report facts other than balances, and what amounts are in money."""

from __future__ import annotations

from decimal import Decimal

from pipeline.alerts.account_facts import UNEXPLAINED_DAYS, AccountFacts
from pipeline.schema.units import UNKNOWN_UNIT, is_vendor_unit
from pipeline.support.wording import amount, exact_amount, instant


def money(reading: AccountFacts) -> str:
    """What the balance and the spend are in money: credits at the account's price of today. The advice has the order's.

    A sentence that begins with a blank; empty without a balance. What has no price is said to have none.
    """
    balance, unit_code = reading.balance_amount, reading.unit_code
    if balance is None:
        return ""
    if is_vendor_unit(unit_code):
        return f" {_priced(reading, balance)}"
    if unit_code == UNKNOWN_UNIT:
        return f" The balance is {amount(balance)} of an unknown unit: set unit in accounts.toml."
    return f" The balance is {amount(balance, unit_code)}{_converted(reading, unit_code)}."


def _priced(reading: AccountFacts, balance: Decimal) -> str:
    price, currency = reading.price_amount, reading.price_unit_code
    if price is None or currency is None:
        return f"The balance is {amount(balance, reading.unit_code)}; no price is known for its credits."
    parts = [f"the balance is {amount(balance * price, currency)}{_converted(reading, currency)}"]
    if reading.burn_28d_amount is not None:
        parts.append(f"spend {amount(reading.burn_28d_amount * price, currency)} a day")
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return f"At {exact_amount(price, currency)} for each credit {listed}."


def _value(reading: AccountFacts, value: Decimal) -> str:
    """What an amount of credits is worth, in brackets."""
    if not is_vendor_unit(reading.unit_code):
        return ""
    if reading.price_amount is None or reading.price_unit_code is None:
        return " (no price is known for its credits)"
    return f" ({amount(value * reading.price_amount, reading.price_unit_code)})"


def _converted(reading: AccountFacts, currency: str) -> str:
    """The balance in the reporting currency in brackets, if that is another one than the currency."""
    converted, reporting = reading.reporting_balance_amount, reading.reporting_unit_code
    if converted is None or reporting is None or reporting == currency:
        return ""
    return f" ({amount(converted, reporting)})"


def unexplained(reading: AccountFacts) -> str:
    """The unexplained amount, its classes, and where to look."""
    lost = reading.unexplained_amount
    if not lost or reading.unexplained_until_utc is None:
        return "Every balance change of the last days is explained."
    return (
        f"{amount(lost, reading.unit_code)}{_value(reading, lost)} of the last {UNEXPLAINED_DAYS} days cannot be "
        f"explained ({', '.join(reading.unexplained_classes)}), most recently in the interval up to "
        f"{instant(reading.unexplained_until_utc)}. See core.balance_bridge."
    )


def anomaly(reading: AccountFacts) -> str:
    """Kind and reason of the newest anomaly."""
    if reading.anomaly is None:
        return "Spend in the last days was as forecast."
    return f"{reading.anomaly.anomaly_kind}: {reading.anomaly.reason}"


def unit(reading: AccountFacts) -> str:
    """The newest change of the unit."""
    return reading.unit_change_reason or f"The balance has been in {reading.unit_code} for some days."


def quarantine(reading: AccountFacts) -> str:
    """The broken rules with their tables."""
    if not reading.broken_rules:
        return "All of its rows satisfy the tables' checks again."
    broken = "; ".join(f"{each.table_name}: {each.rule_name}" for each in reading.broken_rules)
    return f"Its rows of the last published build are kept: {broken}. See staging.quarantine."


def drift(reading: AccountFacts) -> str:
    """The first change and the number of others."""
    if not reading.answer_changes:
        return "The vendor's answers have had their usual structure for some days."
    first = reading.answer_changes[0]
    more = f" and {len(reading.answer_changes) - 1} more" if len(reading.answer_changes) > 1 else ""
    return (
        "The structure of answers changed, or rows were rejected: "
        f"{first.endpoint}: {first.column_name}: {first.check_name}{more}. "
        "See staging.schema_drift and staging.rejects."
    )
