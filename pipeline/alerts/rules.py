"""The alert rules: facts about an account become results for the state machine. Pure functions.

Without a fresh reading, days left and limits are judged by the last good one, aged to now: an alert may open or
escalate by that, and never improves. A stale reading has its own alert, after a grace period.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from pipeline.alerts import rule_texts
from pipeline.alerts.account_facts import AccountFacts
from pipeline.alerts.state_machine import Evidence, RuleResult
from pipeline.schema.limits import CRITICAL_DAYS, WARNING_DAYS
from pipeline.schema.units import is_vendor_unit
from pipeline.settings.alert_policy import Policy, rank
from pipeline.support.wording import amount, chance

STALE_AFTER_POLLS: Final = 3
"""Consecutive failed requests after which the stale alert opens."""
STALE_AFTER_SECONDS: Final = 6 * 3600.0
"""Time without a good reading after which it opens. A vendor's short outage sends no message."""
DAYS_MARGIN: Final = 1.25
"""An alert of days left improves only with a quarter more days than the limit."""
AMOUNT_MARGIN: Final = Decimal("0.05")
"""An alert of an amount ends only if the balance exceeds the limit by a twentieth of it."""
UNEXPLAINED_SHARE: Final = Decimal("0.1")
"""Unexplained money counts from a tenth of the mean daily spend; the alert ends when nothing is unexplained."""


def findings(reading: AccountFacts, policy: Policy) -> Iterator[RuleResult]:
    """Yield a result for each rule that is on and whose inputs the account has."""
    for rule, find in _RULES.items():
        severity = policy.severity(rule)
        if severity is not None:
            found = find(reading, severity)
            if found is not None:
                yield found


def runway_severity(reading: AccountFacts, margin: float = 1.0) -> str | None:
    """Severity of the days left, by the limits of marts.account_status times a margin; a cut-off precedes them."""
    if reading.is_reset_since:
        return None
    if reading.is_cut_off or (reading.balance_amount is not None and reading.balance_amount <= 0):
        return "critical"
    days, cautious = reading.runway_days, reading.cautious_days
    if days is not None and days <= CRITICAL_DAYS * margin:
        return "critical"
    if (
        (days is not None and days <= WARNING_DAYS * margin)
        or (cautious is not None and cautious <= CRITICAL_DAYS * margin)
        or (days is not None and reading.alert_below_days is not None and days < reading.alert_below_days * margin)
    ):
        return "warning"
    return None


def _runway(reading: AccountFacts, _: str) -> RuleResult:
    balance = reading.balance_amount
    is_said = reading.is_spend_known or (balance is not None and balance <= 0) or reading.is_cut_off
    is_known = balance is not None and not reading.is_reset_since and is_said
    words = reading.reason
    if reading.depleted_7d_probability is not None:
        words += f" The chance of running dry within 7 days is {chance(reading.depleted_7d_probability)}."
    words += rule_texts.money(reading)
    if reading.order_by_date is not None and reading.topup_advice:
        words += f" {reading.topup_advice}"
    severity, held = runway_severity(reading), runway_severity(reading, DAYS_MARGIN)
    return _finding(reading, "runway", severity, held, words, is_known=is_known)


def _own_limit(reading: AccountFacts, severity: str) -> RuleResult | None:
    if reading.alert_below_amount is None:
        return None
    return _limit(reading, "amount", severity, reading.alert_below_amount, "your limit")


def _threshold(reading: AccountFacts, severity: str) -> RuleResult:
    if reading.threshold_amount is None:
        # A missing threshold does not mean that the vendor removed it.
        return _finding(reading, "threshold", None, None, "", is_known=False)
    return _limit(reading, "threshold", severity, reading.threshold_amount, "the vendor's threshold")


def _limit(reading: AccountFacts, rule: str, severity: str, limit: Decimal, name: str) -> RuleResult:
    read, unit = reading.balance_amount, reading.unit_code
    expected = reading.expected_balance_amount if reading.expected_balance_amount is not None else read
    balance = expected or Decimal(0)
    is_below = balance < limit
    held = severity if balance < limit + abs(limit) * AMOUNT_MARGIN else None
    if expected is None or expected == read:
        what = f"The balance, {amount(balance, unit)},"
    else:
        what = f"The balance expected by now, {amount(balance, unit)} ({_amount_or_unknown(reading)} when last read),"
    words = f"{what} is {'below' if is_below else 'not below'} {name} of {amount(limit, unit)}."
    if is_vendor_unit(unit):
        words += rule_texts.money(reading)
    if is_below and reading.topup_advice:
        words += f" {reading.topup_advice}"
    is_known = read is not None and not reading.is_reset_since
    return _finding(reading, rule, severity if is_below else None, held, words, is_known=is_known)


def _stale(reading: AccountFacts, severity: str) -> RuleResult:
    if _is_fresh(reading):
        words = f"The balance is read again: {_amount_or_unknown(reading)}."
        return _finding(reading, "stale", None, None, words, is_known=True)
    is_silent = (reading.silent_seconds or 0.0) >= STALE_AFTER_SECONDS
    is_bad = reading.is_overdue or reading.failed_poll_count >= STALE_AFTER_POLLS or is_silent
    words = reading.reason
    if reading.remedy:
        words += f" {reading.remedy.rstrip('.')}."
    # Within the grace period no alert opens or ends.
    return _finding(reading, "stale", severity if is_bad else None, severity, words, is_known=True)


def _unexplained(reading: AccountFacts, severity: str) -> RuleResult:
    size = reading.unexplained_amount or Decimal(0)
    is_bad = size > UNEXPLAINED_SHARE * max(reading.burn_28d_amount or Decimal(0), Decimal(0))
    words = rule_texts.unexplained(reading)
    bad, held = severity if is_bad else None, severity if size else None
    return _finding(reading, "unexplained", bad, held, words, is_known=_is_fresh(reading))


def _anomaly(reading: AccountFacts, severity: str) -> RuleResult:
    bad = severity if reading.anomaly else None
    return _finding(reading, "anomaly", bad, bad, rule_texts.anomaly(reading), is_known=_is_fresh(reading))


def _drift(reading: AccountFacts, severity: str) -> RuleResult:
    bad = severity if reading.answer_changes else None
    return _finding(reading, "drift", bad, bad, rule_texts.drift(reading), is_known=_is_fresh(reading))


def _unit(reading: AccountFacts, severity: str) -> RuleResult:
    bad = severity if reading.unit_change_reason else None
    return _finding(reading, "unit", bad, bad, rule_texts.unit(reading), is_known=_is_fresh(reading))


def _quarantine(reading: AccountFacts, severity: str) -> RuleResult:
    bad = severity if reading.broken_rules else None
    return _finding(reading, "quarantine", bad, bad, rule_texts.quarantine(reading), is_known=True)


_RULES: Final = {
    "runway": _runway,
    "amount": _own_limit,
    "threshold": _threshold,
    "stale": _stale,
    "unexplained": _unexplained,
    "anomaly": _anomaly,
    "drift": _drift,
    "unit": _unit,
    "quarantine": _quarantine,
}


def _is_fresh(reading: AccountFacts) -> bool:
    return reading.reading_state == "fresh" and reading.balance_amount is not None


def _finding(
    reading: AccountFacts, rule: str, severity: str | None, held: str | None, message: str, *, is_known: bool
) -> RuleResult:
    return RuleResult(
        account_id=reading.account_id,
        rule=rule,
        is_known=is_known,
        is_fresh=_is_fresh(reading),
        severity=severity,
        held_severity=max(severity, held, key=rank),
        read_at=reading.observed_at_utc,
        message=message,
        evidence=Evidence(
            unit_code=reading.unit_code,
            balance_amount=reading.balance_amount,
            observed_at_utc=reading.observed_at_utc,
            runway_days=reading.runway_days,
            runway_p50_date=reading.runway_p50_date,
            depleted_7d_probability=reading.depleted_7d_probability,
            alert_below_amount=reading.alert_below_amount,
            threshold_amount=reading.threshold_amount,
            unexplained_amount=reading.unexplained_amount,
            topup_amount=reading.topup_amount,
            topup_gross_amount=reading.topup_gross_amount,
            order_by_date=reading.order_by_date,
        ),
    )


def _amount_or_unknown(reading: AccountFacts) -> str:
    return "unknown" if reading.balance_amount is None else amount(reading.balance_amount, reading.unit_code)
