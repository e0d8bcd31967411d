"""What is still to be told to whom, and when it is time to try: pure, from the journal, the settings and the clock.

Nothing is given up while an alert is open. If several changes of an alert did not arrive, the newest is sent, and
covers the others: after an outage a recipient reads how things are, not all that has happened.
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
"""After the first run that failed to reach a recipient, by the run's clock; doubled by each further one."""
LONGEST_WAIT: Final = timedelta(hours=2)
UNANSWERED_WAIT: Final = timedelta(hours=24)
"""After two messages of which no process lived to say whether they went out: they may both have arrived."""
MOST_UNANSWERED: Final = 2
_EARLY: Final = timedelta(minutes=2)
"""A run that comes so much early is in time: schedules are not exact to the second."""

Recipients = Mapping[str, Sequence[str]]
"""By account, the names of the variables that hold the URLs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """An event that is to be told to a recipient, and the earlier ones of its alert that are told with it."""

    event: Event
    covered: tuple[Event, ...] = ()
    is_untried: bool = True
    """No run has tried to send it."""

    @property
    def event_ids(self) -> tuple[str, ...]:
        """All that has arrived when it has."""
        return (self.event.event_id, *(each.event_id for each in self.covered))

    @property
    def note(self) -> str:
        """What a reader who never heard of the alert must know beside the event's own words; mostly nothing."""
        opened = next((each for each in self.covered if each.event != "recovered"), None)
        if opened is None or self.event.event != "recovered":
            return ""
        return f"It opened {opened.happened_at_utc:%Y-%m-%d %H:%M} UTC; that message was not delivered."


@dataclass(slots=True)
class Pending:
    """What is to be told, and what will not be."""

    tellings: dict[str, list[Telling]] = field(default_factory=dict)
    """By recipient, in the order in which the events happened."""
    settled: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """By recipient and reason, the ids of events that nobody needs to be told of any more."""


def address(event: Event, policy: Policy, recipients: Recipients) -> tuple[str, ...]:
    """The recipients of an event."""
    if event.is_silent or not policy.is_told(event.severity):
        return ()
    return tuple(recipients.get(event.account_id, ()))


def pending(ledger: Ledger, policy: Policy, recipients: Recipients) -> Pending:
    """What is still to be sent; a recipient added to accounts.toml later gets what is open now."""
    known = {name for names in recipients.values() for name in names}
    events: dict[Key, list[Event]] = {}
    for event in ledger.events.values():
        events.setdefault((event.account_id, event.rule), []).append(event)
    concerned: dict[Key, list[str]] = {}
    for (event_id, recipient), delivery in ledger.deliveries.items():
        told = ledger.events.get(event_id)
        if told is not None and delivery.is_pending:
            concerned.setdefault((told.account_id, told.rule), []).append(recipient)
    for key, state in ledger.states.items():
        if state.alert_state == "open":
            concerned.setdefault(key, []).extend(recipients.get(state.account_id, ()))
    found = Pending()
    for key, names in concerned.items():
        for recipient in dict.fromkeys(names):
            _judge(found, ledger, policy, recipients, key, events.get(key, []), recipient, is_known=recipient in known)
    order = {event_id: place for place, event_id in enumerate(ledger.events)}
    for tellings in found.tellings.values():
        tellings.sort(key=lambda each: order[each.event.event_id])
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
    """Add what a recipient is to be told of one alert, or why it is not."""

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
            reason = f"{last.event_id} was told"
        elif last is not None and (last in undelivered or recipient in address(last, policy, recipients)):
            newest = last
    covered = tuple(each for each in undelivered if newest is None or each.event_id != newest.event_id)
    if newest is not None:
        made = delivery(newest)
        is_untried = made is None or made.attempt_count == 0
        found.tellings.setdefault(recipient, []).append(Telling(event=newest, covered=covered, is_untried=is_untried))
    elif covered:
        found.settled.setdefault((recipient, reason), []).extend(each.event_id for each in covered)


def next_attempt(outage: Outage | None) -> datetime | None:
    """When a recipient who could not be reached is tried again, by the run's clock; None: at once."""
    if outage is None or outage.tried_at is None:
        return None
    if outage.unanswered_count >= MOST_UNANSWERED:
        return outage.tried_at + UNANSWERED_WAIT
    if not outage.failed_run_count:
        return None
    # An exponent without a bound would overflow after years.
    doublings = min(outage.failed_run_count - 1, 16)
    wait: timedelta = FIRST_WAIT * int(2**doublings)
    return outage.tried_at + min(wait, LONGEST_WAIT)


def is_due(outage: Outage | None, tellings: Sequence[Telling], now: datetime) -> bool:
    """Whether it is time to try: the wait is over, or something happened since the last attempt."""
    after = next_attempt(outage)
    if outage is None or outage.tried_at is None or after is None:
        return True
    # An attempt that is yet to come was made by a run whose clock was ahead: it holds up nothing.
    if outage.tried_at > now or now >= after - _EARLY:
        return True
    return any(each.is_untried and each.event.happened_at_utc > outage.tried_at for each in tellings)
