"""Message texts of the rules that report facts other than balances."""

from __future__ import annotations

from pipeline.alerts.account_facts import UNEXPLAINED_DAYS, AccountFacts
from pipeline.support.wording import amount, instant


def unexplained(reading: AccountFacts) -> str:
    """The unexplained amount, its classes, and where to look."""
    if not reading.unexplained_amount or reading.unexplained_until_utc is None:
        return "Every balance change of the last days is explained."
    return (
        f"{amount(reading.unexplained_amount, reading.unit_code)} of the last {UNEXPLAINED_DAYS} days cannot be "
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
