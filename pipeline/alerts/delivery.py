"""Telling people: each transition once for each recipient, however often processes die.

What does not fit into one message goes out in several, each on its own: one that fails repeats none that arrived.
An intent is landed and synced before a message is sent, and its outcome after. Where a process died in between, nobody
knows whether the message went out: it is sent once more, marked as possibly repeated, and then never again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pipeline.alerts.channel import Failure, most_characters, send
from pipeline.alerts.journal import Delivery, Intent, Ledger, Outcome, land
from pipeline.alerts.machine import Event
from pipeline.alerts.messages import Message, compose
from pipeline.alerts.policy import Policy
from pipeline.clock import Clock
from pipeline.errors import DrawdownError
from pipeline.home import Home
from pipeline.secret import Secret

TRIES: Final = 3
"""Attempts in one run."""
MOST_ATTEMPTS: Final = 72
"""Attempts in all: a day of hourly runs."""
MOST_UNANSWERED: Final = 2
"""Messages of which no process lived to say whether they went out."""
MOST_FAILURES: Final = 2
"""Messages in a row that a run fails to send to a recipient, who is then left in peace until the next one."""
_WAITS: Final = (0.5, 2.0)
"""Seconds between the attempts of a run."""

Recipients = Mapping[str, Sequence[str]]
"""By account, the names of the variables that hold the URLs."""


def address(event: Event, policy: Policy, recipients: Recipients) -> tuple[str, ...]:
    """Who is told of an event."""
    if event.is_silent or not policy.is_told(event.severity):
        return ()
    return tuple(recipients.get(event.account_id, ()))


def pending(ledger: Ledger, policy: Policy, recipients: Recipients) -> dict[str, list[Event]]:
    """By recipient, the events that are still to be told, in the order in which they happened.

    Who was added to accounts.toml later is told of what is open now.
    """
    wanted = [pair for pair, delivery in ledger.deliveries.items() if delivery.is_pending]
    newest: dict[tuple[str, str], Event] = {}
    for event in ledger.events.values():
        if event.event in ("opened", "escalated"):
            newest[event.account_id, event.rule] = event
    for key, state in ledger.states.items():
        if state.alert_state == "open" and key in newest:
            for recipient in address(newest[key], policy, recipients):
                if (newest[key].event_id, recipient) not in ledger.deliveries:
                    wanted.append((newest[key].event_id, recipient))
    order = {event_id: place for place, event_id in enumerate(ledger.events)}
    found: dict[str, list[Event]] = {}
    for event_id, recipient in sorted(wanted, key=lambda pair: order[pair[0]]):
        found.setdefault(recipient, []).append(ledger.events[event_id])
    return found


def deliver(
    ledger: Ledger,
    policy: Policy,
    recipients: Recipients,
    url_of: Callable[[str], Secret],
    home: Home,
    clock: Clock,
    run_id: str,
) -> list[str]:
    """Send what is due, in as few messages as its recipient's service takes; returns a line for each failure.

    Who calls it holds the warehouse's lock: nobody else delivers meanwhile. `url_of` raises UsageError, in words, for a
    variable that holds no URL.
    """
    now = clock.now()
    known = {name for names in recipients.values() for name in names}
    problems = []
    for recipient, events in pending(ledger, policy, recipients).items():

        def settle(these: Sequence[Event], problem: str, name: str = recipient) -> None:
            ids = tuple(each.event_id for each in these)
            land(home, clock, run_id, Outcome(at=now, recipient=name, event_ids=ids, is_given_up=True, problem=problem))

        if recipient not in known:
            settle(events, f"accounts.toml no longer names {recipient}")
            continue
        sendable = []
        for event in events:
            delivery = ledger.deliveries.get((event.event_id, recipient), Delivery())
            problem = _hopeless(delivery)
            if problem:
                settle([event], problem)
                problems.append(f"alerts: {event.event_id} through {recipient} is given up: {problem}")
            elif not policy.is_held(event.severity, now):
                sendable.append(event)
        if sendable:
            told = {
                event.event_id: ledger.deliveries[event.event_id, recipient].told_length
                for event in sendable
                if (event.event_id, recipient) in ledger.deliveries
            }
            problems += _send_all(sendable, told, recipient, url_of, home, clock, run_id)
    return problems


def _hopeless(delivery: Delivery) -> str | None:
    if delivery.unanswered_count >= MOST_UNANSWERED:
        return f"it may have gone out {delivery.unanswered_count} times, and no process lived to say so"
    if delivery.attempt_count >= MOST_ATTEMPTS:
        return f"{delivery.attempt_count} attempts failed; the last: {delivery.problem}"
    return None


def _send_all(
    events: Sequence[Event],
    told: Mapping[str, int],
    recipient: str,
    url_of: Callable[[str], Secret],
    home: Home,
    clock: Clock,
    run_id: str,
) -> list[str]:
    """Send a recipient's messages, each with an intent and an outcome of its own; returns what went wrong."""
    try:
        url = url_of(recipient)
    except DrawdownError as unusable:
        return [f"alerts: {unusable}; the next run tries again"]
    messages = compose(events, home.published / "report" / "index.html", limit=most_characters(url), told=told)
    failures: list[str] = []
    failed_in_a_row = 0
    cut_off: set[str] = set()
    for message in messages:
        if cut_off & set(message.event_ids):
            # Without what comes before it, it says nothing.
            continue
        problem = _send(message, url, recipient, home, clock, run_id)
        failed_in_a_row = failed_in_a_row + 1 if problem else 0
        if problem:
            failures.append(problem)
            cut_off |= set(message.event_ids)
        if failed_in_a_row == MOST_FAILURES:
            break
    problems = [f"alerts: {problem}; the next run tries again" for problem in dict.fromkeys(failures)]
    waiting = {event.event_id for event in events} - {each for message in messages for each in message.event_ids}
    if waiting:
        problems.append(
            f"alerts: {len(waiting)} more than {len(messages)} messages through {recipient} can tell wait for the next "
            "run; `drawdown alerts` lists them"
        )
    return problems


def _send(message: Message, url: Secret, recipient: str, home: Home, clock: Clock, run_id: str) -> str | None:
    """Land the intent, send, land the outcome; returns what went wrong."""
    ids = message.event_ids
    intent_id = land(home, clock, run_id, Intent(at=clock.now(), recipient=recipient, event_ids=ids))
    failures: list[Failure] = []
    for wait in (*_WAITS[: TRIES - 1], None):
        failure = send(url, message.title, message.body)
        if failure is None:
            break
        failures.append(failure)
        if wait is not None:
            time.sleep(wait)
    is_delivered = len(failures) < TRIES
    earlier = failures if is_delivered else failures[:-1]
    outcome = Outcome(
        at=clock.now(),
        recipient=recipient,
        event_ids=ids,
        intent_id=intent_id,
        is_delivered=is_delivered,
        attempt_count=len(failures) + is_delivered,
        is_possibly_repeated=any(each.is_unknown for each in earlier),
        is_unknown=not is_delivered and any(each.is_unknown for each in failures),
        problem=None if is_delivered else failures[-1].problem,
        told_length=message.told_length,
    )
    land(home, clock, run_id, outcome)
    return outcome.problem
