"""State machine of alerts: previous states, findings and the clock give new states and events.

Pure: no file, no network, no clock of its own. An alert opens and escalates at once. It recovers, or its severity
decreases, after two consecutive good readings that are clearly better: for that, findings carry a second severity,
computed with a margin. A finding without knowledge changes nothing, and one without a fresh reading improves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

import msgspec

from pipeline.schema.severities import RUN_FAILED
from pipeline.settings.alert_policy import rank

READINGS_TO_RECOVER: Final = 2
"""Consecutive good readings, at different times, after which an alert recovers."""

Key = tuple[str, str]
"""account_id, rule."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers behind a finding, in columns of `alerts.events`."""

    unit_code: str
    balance_amount: Decimal | None = None
    observed_at_utc: datetime | None = None
    runway_days: float | None = None
    runway_p50_date: date | None = None
    depleted_7d_probability: float | None = None
    alert_below_amount: Decimal | None = None
    threshold_amount: Decimal | None = None
    unexplained_amount: Decimal | None = None
    topup_amount: Decimal | None = None
    topup_gross_amount: Decimal | None = None
    order_by_date: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleResult:
    """Result of a rule for an account."""

    account_id: str
    rule: str
    is_known: bool
    """False if the rule's inputs are unknown."""
    is_fresh: bool
    """Whether it is based on a fresh reading and not on an older one aged to now; only then can an alert improve."""
    severity: str | None
    """Severity; None if there is no problem."""
    held_severity: str | None
    """Severity with a margin, never milder than `severity`; an alert improves only when this one decreases."""
    read_at: datetime | None
    """Time of the reading."""
    message: str
    evidence: Evidence
    month: str = ""
    """For a rule about months: the month, as `2026-03`. The same problem in a later month is a new one."""


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Alert of an account and a rule: open, acknowledged or recovered."""

    account_id: str
    rule: str
    alert_state: Literal["open", "acknowledged", "recovered"]
    severity: str
    """Worst severity so far, for a recovered alert."""
    worst_severity: str
    since_at_utc: datetime
    """Time of the last change of alert_state."""
    event_count: int
    """Number of events of this account and rule; the newest event's id ends with it."""
    acknowledged_by: str | None = None
    acknowledged_at_utc: datetime | None = None
    acknowledgement_note: str | None = None
    better_count: int = 0
    """Consecutive good readings that are clearly better."""
    better_severity: str | None = None
    """Worst severity among them."""
    better_read_at: datetime | None = None
    """Time of the newest of them."""
    month: str = ""
    """Month of the newest event, for a rule about months."""

    @property
    def is_open(self) -> bool:
        """Whether the alert has not recovered."""
        return self.alert_state != "recovered"

    @property
    def event_id(self) -> str:
        """Id of the newest event."""
        return f"{self.account_id}/{self.rule}/{self.event_count}"


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Transition of an alert, and its recipients."""

    event_id: str
    account_id: str
    rule: str
    event: Literal["opened", "escalated", "acknowledged", "recovered"]
    severity: str
    """Severity after the event; for a recovery, the worst severity before."""
    happened_at_utc: datetime
    message: str
    evidence: Evidence
    is_silent: bool = False
    """Recorded, but not sent."""
    recipients: tuple[str, ...] = ()
    """Names of the variables that hold the recipients' URLs."""


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="acknowledgement"):
    """A person's acknowledgement of alerts."""

    account_id: str
    by: str
    at: datetime
    rule: str | None = None
    """None: all open alerts of the account."""
    note: str | None = None


def step(
    states: Mapping[Key, State],
    findings: Iterable[RuleResult],
    acknowledgements: Iterable[Acknowledgement],
    now: datetime,
) -> tuple[dict[Key, State], list[Event]]:
    """Apply acknowledgements and findings to the states; returns the new states and the events in order.

    `findings` must contain every watched account and rule, known or not: an open alert that is missing there is closed
    without a message. The alert about runs is the exception; the ends of runs open and close it
    (`pipeline.alerts.run_failures`).
    """
    after = dict(states)
    events: list[Event] = []
    for acknowledgement in acknowledgements:
        for key in sorted(after):
            if matches(acknowledgement, after[key]):
                after[key], event = _acknowledged(after[key], acknowledgement)
                events.append(event)
    seen: set[Key] = set()
    for finding in sorted(findings, key=lambda each: (each.account_id, each.rule)):
        key = (finding.account_id, finding.rule)
        seen.add(key)
        state, happened = _advance(after.get(key), finding, now)
        if state is not None:
            after[key] = state
        if happened is not None:
            events.append(happened)
    for key in sorted(after.keys() - seen):
        if after[key].is_open and after[key].rule != RUN_FAILED:
            after[key], event = _forgotten(after[key], now)
            events.append(event)
    return after, events


def matches(acknowledgement: Acknowledgement, state: State) -> bool:
    """Whether an acknowledgement applies to an alert, which must be open and not acknowledged yet."""
    return (
        state.alert_state == "open"
        and state.account_id == acknowledgement.account_id
        and acknowledgement.rule in (None, state.rule)
    )


def _advance(state: State | None, finding: RuleResult, now: datetime) -> tuple[State | None, Event | None]:
    if not finding.is_known:
        return state, None
    if state is None or not state.is_open:
        return (state, None) if finding.severity is None else opened(state, finding, finding.severity, now)
    if finding.severity is not None and finding.month > state.month > "":
        return opened(state, finding, finding.severity, now)
    if finding.severity is not None and rank(finding.severity) > rank(state.severity):
        return _escalated(state, finding, finding.severity, now)
    if rank(finding.held_severity) >= rank(state.severity):
        return (_unsettled(state) if state.better_count else state), None
    if not finding.is_fresh:
        return state, None
    # A reading time in the future is from a run whose clock was ahead; it must not block this one.
    counted = state.better_read_at if state.better_read_at is not None and state.better_read_at <= now else None
    if finding.read_at is None or (counted is not None and finding.read_at <= counted):
        return state, None
    better = msgspec.structs.replace(
        state,
        better_count=state.better_count + 1,
        better_severity=max(state.better_severity, finding.held_severity, key=rank),
        better_read_at=finding.read_at,
    )
    if better.better_count < READINGS_TO_RECOVER:
        return better, None
    if better.better_severity is not None:
        # The severity decreases without a message, so that the next increase is sent again. The reading that was
        # counted does not count twice.
        eased = msgspec.structs.replace(_unsettled(better), better_read_at=finding.read_at)
        return msgspec.structs.replace(eased, severity=better.better_severity), None
    return recovered(better, finding.message, finding.evidence, now)


def _unsettled(state: State) -> State:
    return msgspec.structs.replace(state, better_count=0, better_severity=None, better_read_at=None)


def opened(before: State | None, finding: RuleResult, severity: str, now: datetime) -> tuple[State, Event]:
    """Open an alert; `before` is its previous state, if any."""
    state = State(
        account_id=finding.account_id,
        rule=finding.rule,
        alert_state="open",
        severity=severity,
        worst_severity=severity,
        since_at_utc=now,
        event_count=(before.event_count if before else 0) + 1,
        month=finding.month,
    )
    return state, _event(state, "opened", now, finding.message, finding.evidence)


def _escalated(before: State, finding: RuleResult, severity: str, now: datetime) -> tuple[State, Event]:
    # The acknowledgement covered a milder severity.
    state = State(
        account_id=before.account_id,
        rule=before.rule,
        alert_state="open",
        severity=severity,
        worst_severity=max(before.worst_severity, severity, key=rank),
        since_at_utc=before.since_at_utc if before.alert_state == "open" else now,
        event_count=before.event_count + 1,
        month=finding.month,
    )
    return state, _event(state, "escalated", now, finding.message, finding.evidence)


def _acknowledged(before: State, acknowledgement: Acknowledgement) -> tuple[State, Event]:
    state = msgspec.structs.replace(
        before,
        alert_state="acknowledged",
        since_at_utc=acknowledgement.at,
        event_count=before.event_count + 1,
        acknowledged_by=acknowledgement.by,
        acknowledged_at_utc=acknowledgement.at,
        acknowledgement_note=acknowledgement.note,
    )
    words = f"acknowledged by {acknowledgement.by}" + (f": {acknowledgement.note}" if acknowledgement.note else ".")
    event = _event(state, "acknowledged", acknowledgement.at, words, Evidence(unit_code="unknown"))
    return state, msgspec.structs.replace(event, is_silent=True)


def recovered(before: State, message: str, evidence: Evidence, now: datetime) -> tuple[State, Event]:
    """Close an alert as recovered."""
    state = State(
        account_id=before.account_id,
        rule=before.rule,
        alert_state="recovered",
        severity=before.worst_severity,
        worst_severity=before.worst_severity,
        since_at_utc=now,
        event_count=before.event_count + 1,
    )
    return state, _event(state, "recovered", now, message, evidence)


def _forgotten(before: State, now: datetime) -> tuple[State, Event]:
    words = "No longer watched: the account, or what the rule needs, is no longer in accounts.toml."
    state, event = recovered(before, words, Evidence(unit_code="unknown"), now)
    return state, msgspec.structs.replace(event, is_silent=True)


def _event(
    state: State,
    event: Literal["opened", "escalated", "acknowledged", "recovered"],
    at: datetime,
    message: str,
    evidence: Evidence,
) -> Event:
    return Event(
        event_id=state.event_id,
        account_id=state.account_id,
        rule=state.rule,
        event=event,
        severity=state.severity,
        happened_at_utc=at,
        message=message,
        evidence=evidence,
    )
