"""Inputs of the alert rules: facts about one account, without text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

UNEXPLAINED_DAYS: Final = 7
"""Days for which an unexplained interval counts."""
SETTLING_DAYS: Final = 1
"""Days before an interval counts as unexplained, because entries are booked late."""
ANOMALY_DAYS: Final = 7
DRIFT_DAYS: Final = 2


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One row of forecasts.anomalies."""

    anomaly_kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """One row of staging.quarantine."""

    table_name: str
    rule_name: str


@dataclass(frozen=True, slots=True)
class AnswerChange:
    """A column of an endpoint's answers that changed, or whose values were rejected."""

    endpoint: str
    column_name: str
    check_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """Inputs of the alert rules for one account."""

    account_id: str
    unit_code: str
    reading_state: str
    observed_at_utc: datetime | None
    """The newest good reading."""
    balance_amount: Decimal | None
    reason: str
    expected_balance_amount: Decimal | None = None
    """The balance less the spend expected since the reading; the balance itself if it is current."""
    failed_poll_count: int = 0
    """Consecutive failed requests for the balance."""
    silent_seconds: float | None = None
    """Time since the last successful request for the balance, or since the first; None if there was none."""
    is_overdue: bool = False
    """The reading is older than `stale_after_seconds`, or a newer row was rejected, which no retry fixes."""
    remedy: str | None = None
    """Message of the newest failed request, with the remedy."""
    topup_advice: str | None = None
    topup_amount: Decimal | None = None
    topup_gross_amount: Decimal | None = None
    order_by_date: date | None = None
    price_amount: Decimal | None = None
    """Price of one credit today; None for a currency, and if no price is known."""
    price_unit_code: str | None = None
    reporting_balance_amount: Decimal | None = None
    """The balance in the reporting currency; None if it cannot be converted."""
    reporting_unit_code: str | None = None
    is_reset_since: bool = False
    """Its quota was reset after the reading, so that nothing is known of its balance."""
    is_cut_off: bool = False
    """The vendor states that it no longer creates instances for the account."""
    is_spend_known: bool = False
    """There is a forecast, or a complete day of spend."""
    runway_days: float | None = None
    cautious_days: float | None = None
    """Days until the account is dry with a probability of 10 %."""
    runway_p50_date: date | None = None
    depleted_7d_probability: float | None = None
    burn_28d_amount: Decimal | None = None
    alert_below_days: float | None = None
    alert_below_amount: Decimal | None = None
    threshold_amount: Decimal | None = None
    unexplained_amount: Decimal | None = None
    """Sum of the absolute unexplained amounts of the last intervals."""
    unexplained_classes: tuple[str, ...] = ()
    """Classes of these amounts, in alphabetical order."""
    unexplained_until_utc: datetime | None = None
    """End of the newest of these intervals."""
    anomaly: Anomaly | None = None
    """The newest anomaly of the last days, except changes of the unit."""
    unit_change_reason: str | None = None
    """The newest change of the balance's unit in the last days."""
    broken_rules: tuple[BrokenRule, ...] = ()
    """Rules that its rows break in this build."""
    answer_changes: tuple[AnswerChange, ...] = ()
    """Recent changes of the answers' structure, and rejected columns."""
