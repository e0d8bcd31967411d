"""Undelivered events and their next attempts. Pure: computed from the journal, the settings and the clock.

No event is dropped while its alert is open. If several events of an alert were not delivered, only the newest is sent,
and it covers the others: after an outage a recipient gets the current state, not the history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pipeline.alerts.journal import Delivery, Ledger, Outage
from pipeline.alerts.state_machine import Event, Key, matches
from pipeline.settings.alert_policy import Policy

FIRST_WAIT: Final = timedelta(minutes=15)
"""Wait after the first run that failed to reach a recipient, by the run's clock; doubled by each further failed run."""
LONGEST_WAIT: Final = timedelta(hours=2)
UNANSWERED_WAIT: Final = timedelta(hours=24)
"""Wait after two messages without a recorded outcome, both of which may have arrived."""
MOST_UNANSWERED: Final = 2
_EARLY: Final = timedelta(minutes=2)
"""Tolerance for a run that starts early: schedules are not exact to the second."""

Recipients = Mapping[str, Sequence[str]]
"""By account, the names of the variables that hold the URLs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueEvent:
    """Event that is due to a recipient, and the earlier events of its alert that its message covers."""

    event: Event
    covered: tuple[Event, ...] = ()
    is_untried: bool = True
    """Whether no run has tried to send it yet."""

    @property
    def event_ids(self) -> tuple[str, ...]:
        """Ids of all events that its delivery settles."""
        return (self.event.event_id, *(each.event_id for each in self.covered))

    @property
    def note(self) -> str:
        """Addition to the event's text for a reader who never received the opening; usually empty."""
        opened = next((each for each in self.covered if each.event != "recovered"), None)
        if opened is None or self.event.event != "recovered":
            return ""
        return f"It opened {opened.happened_at_utc:%Y-%m-%d %H:%M} UTC; that message was not delivered."


@dataclass(slots=True)
class Pending:
    """Events to be sent, and events that will not be."""

    due_events: dict[str, list[DueEvent]] = field(default_factory=dict)
    """By recipient, in order of occurrence."""
    settled: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Ids of events that no longer need a message, by recipient and reason."""


def address(event: Event, policy: Policy, recipients: Recipients) -> tuple[str, ...]:
    """Recipients of an event."""
    if event.is_silent or not policy.is_sent(event.severity):
        return ()
    return tuple(recipients.get(event.account_id, ()))


def pending(ledger: Ledger, policy: Policy, recipients: Recipients) -> Pending:
    """Determine what is still to be sent; a recipient added to accounts.toml later gets the alerts that are open."""
    known = {name for names in recipients.values() for name in names}
    events: dict[Key, list[Event]] = {}
    for event in ledger.events.values():
        events.setdefault((event.account_id, event.rule), []).append(event)
    concerned: dict[Key, list[str]] = {}
    for (event_id, recipient), delivery in ledger.deliveries.items():
        addressed = ledger.events.get(event_id)
        if addressed is not None and delivery.is_pending:
            concerned.setdefault((addressed.account_id, addressed.rule), []).append(recipient)
    for key, state in ledger.states.items():
        if state.alert_state == "open":
            concerned.setdefault(key, []).extend(recipients.get(state.account_id, ()))
    found = Pending()
    for key, names in concerned.items():
        for recipient in dict.fromkeys(names):
            _judge(found, ledger, policy, recipients, key, events.get(key, []), recipient, is_known=recipient in known)
    order = {event_id: place for place, event_id in enumerate(ledger.events)}
    for due_events in found.due_events.values():
        due_events.sort(key=lambda each: order[each.event.event_id])
    return found


def _judge(
    found: Pending,
    ledger: Ledger,
    policy: Policy,
    recipients: Recipients,
    key: Key,
    events: Sequence[Event],
    recipient: str,
    *,
    is_known: bool,
) -> None:
    """Add the due event of one alert for a recipient, or the reason why there is none."""

    def delivery(event: Event) -> Delivery | None:
        return ledger.deliveries.get((event.event_id, recipient))

    undelivered = [each for each in events if (made := delivery(each)) is not None and made.is_pending]
    state = ledger.states.get(key)
    newest: Event | None = None
    reason = "it had recovered before the message was sent"
    if not is_known:
        reason = f"accounts.toml no longer names {recipient}"
    elif state is None or state.alert_state == "recovered":
        last = events[-1] if events else None
        newest = last if last is not None and last in undelivered else None
    elif state.alert_state == "acknowledged" or any(matches(each, state) for each in ledger.waiting.values()):
        reason = "it was acknowledged before the message was sent"
    else:
        last = next((each for each in reversed(events) if each.event in ("opened", "escalated")), None)
        made = delivery(last) if last is not None else None
        if last is not None and made is not None and made.delivered_at is not None:
            reason = f"{last.event_id} was delivered"
        elif last is not None and (last in undelivered or recipient in address(last, policy, recipients)):
            newest = last
    covered = tuple(each for each in undelivered if newest is None or each.event_id != newest.event_id)
    if newest is not None:
        made = delivery(newest)
        is_untried = made is None or made.attempt_count == 0
        found.due_events.setdefault(recipient, []).append(
            DueEvent(event=newest, covered=covered, is_untried=is_untried)
        )
    elif covered:
        found.settled.setdefault((recipient, reason), []).extend(each.event_id for each in covered)


def next_attempt(outage: Outage | None) -> datetime | None:
    """Earliest time of the next attempt at a recipient that could not be reached, by the run's clock; None: now."""
    if outage is None or outage.tried_at is None:
        return None
    if outage.unanswered_count >= MOST_UNANSWERED:
        return outage.tried_at + UNANSWERED_WAIT
    if not outage.failed_run_count:
        return None
    # Bounded, because 2 to the power of years of failures would overflow.
    doublings = min(outage.failed_run_count - 1, 16)
    wait: timedelta = FIRST_WAIT * int(2**doublings)
    return outage.tried_at + min(wait, LONGEST_WAIT)


def is_due(outage: Outage | None, due_events: Sequence[DueEvent], now: datetime) -> bool:
    """Whether a recipient should be tried now: the wait is over, or there is an event newer than the last attempt."""
    after = next_attempt(outage)
    if outage is None or outage.tried_at is None or after is None:
        return True
    # An attempt in the future was recorded by a run whose clock was ahead; it must not delay this one.
    if outage.tried_at > now or now >= after - _EARLY:
        return True
    return any(each.is_untried and each.event.happened_at_utc > outage.tried_at for each in due_events)
