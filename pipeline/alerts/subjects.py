"""What a message is about: a paragraph for each event, or one for an outage of a vendor with many accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.alerts.state_machine import Event
from pipeline.schema.severities import BUDGET, EVERY_ACCOUNT, OLD_RATES, RUN_FAILED
from pipeline.support.printable import printable, printable_lines
from pipeline.support.wording import count, instant

OUTAGE_ACCOUNTS: Final = 3
"""Accounts of a vendor from which their stale readings are one subject, in one run."""
_MOST_NAMES: Final = 10
_OUTAGE: Final = "stale"
"""The rule that opens for every account when a vendor is down."""

_WORDS: Final = {
    "runway": "is running low",
    "amount": "is below your limit",
    "threshold": "is below the vendor's threshold",
    "stale": "has no fresh reading",
    "unexplained": "has unexplained balance changes",
    "anomaly": "spends differently than forecast",
    "drift": "has a changed API response",
    "unit": "has changed its unit",
    "quarantine": "is in quarantine",
    BUDGET: "spends more than its budget",
}
_RECOVERED: Final = {
    "runway": "has enough days left again",
    "amount": "is above your limit again",
    "threshold": "is above the vendor's threshold again",
    "stale": "has fresh readings again",
    "unexplained": "has no unexplained balance changes any more",
    "anomaly": "spends as forecast again",
    "drift": "has its usual API responses again",
    "unit": "has kept its unit for some days",
    "quarantine": "is out of quarantine",
    BUDGET: "is within its budget again",
}
_OF_THE_FLEET: Final = {
    RUN_FAILED: {
        "opened": "the last run failed",
        "escalated": "runs are still failing",
        "acknowledged": "failed runs are acknowledged",
        "recovered": "runs succeed again",
    },
    OLD_RATES: {
        "opened": "exchange rates are old",
        "escalated": "exchange rates are still old",
        "acknowledged": "old exchange rates are acknowledged",
        "recovered": "exchange rates are current again",
    },
}
"""Headlines of the rules that concern no single account, by event."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that a message says once, and the events that it covers."""

    events: tuple[Event, ...]
    name: str
    """The account, or the vendor."""
    headline: str
    """Short statement, which begins with the name."""
    text: str
    """The paragraph."""


def subjects(events: Sequence[Event], notes: Mapping[str, str], vendors: Mapping[str, str]) -> list[Subject]:
    """The subjects of events, in their order.

    `notes`, by event id, follow an event's text. `vendors` has the title of each account's vendor: if readings of
    several accounts of one vendor become stale in one run, or stop being so, they are one subject.
    """
    together: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if event.rule == _OUTAGE and event.account_id in vendors:
            together.setdefault((vendors[event.account_id], event.event), []).append(event)
    outages = {key: found for key, found in together.items() if len(found) >= OUTAGE_ACCOUNTS}
    found: list[Subject] = []
    for event in events:
        key = vendors.get(event.account_id, ""), event.event
        if event.rule != _OUTAGE or key not in outages:
            found.append(_of_event(event, notes))
        elif outages[key][0] is event:
            found.append(_of_outage(key[0], outages[key]))
    return found


def headline(event: Event) -> str:
    """Short statement of an event."""
    if event.rule in _OF_THE_FLEET:
        return _OF_THE_FLEET[event.rule][event.event]
    name = "the fleet" if event.account_id == EVERY_ACCOUNT else event.account_id
    if event.event == "recovered":
        return f"{name} {_RECOVERED.get(event.rule, f'has recovered ({event.rule})')}"
    is_urgent = event.severity == "critical" and event.rule == "runway"
    if is_urgent:
        return f"{name} is critical"
    # A rule of a later version is not known here.
    words = _WORDS.get(event.rule, f"has an alert ({event.rule})")
    return f"{name} {words}{', now ' + event.severity if event.event == 'escalated' else ''}"


def _of_event(event: Event, notes: Mapping[str, str]) -> Subject:
    about = f"{headline(event)} ({event.rule} alert {event.event} {instant(event.happened_at_utc)})."
    words = " ".join(filter(None, (event.message, notes.get(event.event_id))))
    # A failed run has one line for each problem, already printable; everything else is a single line.
    shown = printable_lines(words.split("\n")) if event.rule == RUN_FAILED else printable(words)
    return Subject((event,), event.account_id, headline(event), f"{about}\n{shown}".rstrip())


def _of_outage(vendor: str, events: Sequence[Event]) -> Subject:
    first = events[0]
    state = "have fresh readings again" if first.event == "recovered" else "have no fresh reading"
    about = f"{vendor}: {count(len(events), 'account')} {state}"
    names = ", ".join(event.account_id for event in events[:_MOST_NAMES])
    more = len(events) - _MOST_NAMES
    lines = [
        f"{about} (stale alerts {first.event} {instant(first.happened_at_utc)}).",
        f"{names}{f' and {more} more' if more > 0 else ''}.",
        f"{first.account_id}: {printable(first.message)}" if first.message else "",
    ]
    return Subject(tuple(events), vendor, about, "\n".join(filter(None, lines)))
