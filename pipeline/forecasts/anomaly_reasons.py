"""Text of the column `reason` for each kind of anomaly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pipeline.forecasts.tail_probabilities import LEAST_PROBABILITY
from pipeline.support.wording import amount, instant, odds


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusualDays:
    """One improbable day, or several in a row. Amounts are per day."""

    kind: str
    """One of `anomaly_events.KINDS`."""
    first_date: date
    last_date: date
    actual_amount: float
    expected_amount: float
    low_amount: float
    high_amount: float
    unit_code: str
    probability: float
    is_above: bool
    """Above what was expected, not below."""
    is_followed: bool
    """The next day was judged and was not as unusual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitChange:
    """A change of the balance's unit."""

    changed_at_utc: datetime
    unit_before_code: str
    unit_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConventionChange:
    """A ledger that is signed in another way than before, or than was assumed."""

    from_date: date
    sign_before: str
    basis_before: str
    sign_convention: str
    amount_basis: str
    is_first_proof: bool
    """Nothing had been proven before: it was assumed."""


def of_days(days: UnusualDays) -> str:
    """What was spent, what was expected, how improbable that is, and what followed."""
    is_one = days.first_date == days.last_date
    each = "" if is_one else " a day"
    when = f"on {days.first_date}" if is_one else f"from {days.first_date} to {days.last_date}"
    spent = f"{amount(days.actual_amount, days.unit_code)}{each}" if days.actual_amount else "Nothing"
    return (
        f"{spent} was spent {when}, where {amount(days.expected_amount, days.unit_code)}{each} was expected "
        f"({amount(days.low_amount)} to {amount(days.high_amount)}): {odds(days.probability, LEAST_PROBABILITY)}. "
        f"{_sequel(days)}"
    )


def _sequel(days: UnusualDays) -> str:
    where = "above" if days.is_above else "below"
    if days.kind == "restatement":
        return "The vendor changed the figure after it had first stated it."
    if days.kind == "stop":
        return "Either spend stopped, or the vendor did not report it."
    if days.kind == "step":
        return f"It stayed {where} what was expected for {(days.last_date - days.first_date).days + 1} days."
    if not days.is_followed:
        return "Whether it stays is not known yet."
    return f"The next day was no longer {where} the range."


def of_units(changes: Sequence[UnitChange]) -> str:
    """The changes of one day."""
    described = " ".join(
        f"Until {instant(each.changed_at_utc)} the balance was in {each.unit_before_code}, since then it is in "
        f"{each.unit_code}."
        for each in changes
    )
    return f"{described} Amounts of different units are never added: burn and forecasts start with the change."


def of_conventions(changes: Sequence[ConventionChange]) -> str:
    """The changes that one day's interval proves."""
    return " ".join(_convention(each) for each in changes)


def _convention(change: ConventionChange) -> str:
    before = f"{change.sign_before} ({change.basis_before})"
    after = f"{change.sign_convention} ({change.amount_basis})"
    if change.is_first_proof:
        return (
            f"The balances prove that the amounts of the ledger are {after}. Until then they were read as {before}, "
            "without proof. All earlier months follow the proof."
        )
    return (
        f"Until {change.from_date - timedelta(days=1)} the amounts of the ledger were read as {before}, since "
        f"{change.from_date} as {after}, because of the balances or the kinds of the entries. Earlier months stay as "
        "they were."
    )
