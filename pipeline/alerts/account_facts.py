"""What the rules know of an account: facts without words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

UNEXPLAINED_DAYS: Final = 7
"""Unexplained intervals count for this long; after that, they are history."""
SETTLING_DAYS: Final = 1
"""Entries are booked late: what is younger may still be explained."""
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
    """All that the rules need to know of one account."""

    account_id: str
    unit_code: str
    reading_state: str
    observed_at_utc: datetime | None
    """The newest good reading."""
    balance_amount: Decimal | None
    reason: str
    expected_balance_amount: Decimal | None = None
    """The balance less what is expected to have been spent since; the balance where it is as good as of now."""
    failed_poll_count: int = 0
    """Requests for the balance since the last that gave one."""
    silent_seconds: float | None = None
    """Time since the last request that gave a balance, or since the first; None where nothing was asked."""
    is_overdue: bool = False
    """The reading is older than the account's readings may be, or a newer row was refused: no request mends that."""
    remedy: str | None = None
    """What the newest failed request said of itself, and what to do."""
    topup_advice: str | None = None
    topup_amount: Decimal | None = None
    topup_gross_amount: Decimal | None = None
    order_by_date: date | None = None
    is_spend_known: bool = False
    """There is a forecast, or a complete day of spend."""
    runway_days: float | None = None
    cautious_days: float | None = None
    """Days until it is dry with 1 chance in 10."""
    runway_p50_date: date | None = None
    depleted_7d_probability: float | None = None
    burn_28d_amount: Decimal | None = None
    alert_below_days: float | None = None
    alert_below_amount: Decimal | None = None
    threshold_amount: Decimal | None = None
    unexplained_amount: Decimal | None = None
    """Sum of the sizes of what nobody can explain of the last intervals."""
    unexplained_classes: tuple[str, ...] = ()
    """What these look like, in alphabetical order."""
    unexplained_until_utc: datetime | None = None
    """When the newest of these intervals closed."""
    anomaly: Anomaly | None = None
    """The newest anomaly of the last days, changes of the unit aside."""
    unit_change_reason: str | None = None
    """The newest change of the balance's unit in the last days."""
    broken_rules: tuple[BrokenRule, ...] = ()
    """The rules of tables that its rows break now."""
    answer_changes: tuple[AnswerChange, ...] = ()
    """What had another structure, or was rejected, lately."""
