"""What people read: one message for all that happened to the alerts of one recipient."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from pipeline.alerts.machine import Event
from pipeline.schema.severities import URGENCY

MOST_SHOWN: Final = 12
"""Chat services cut long messages off: the most urgent come first, and the rest is a number."""

_WORDS: Final = {
    "runway": "is running low",
    "amount": "is below your limit",
    "threshold": "is below the vendor's threshold",
    "stale": "is stale",
    "unexplained": "has unexplained money",
    "anomaly": "spends otherwise than forecast",
    "drift": "answers in another shape",
    "unit": "is held in another unit",
}


def headline(event: Event) -> str:
    """What happened, in a few words."""
    if event.event == "recovered":
        return f"{event.account_id} has recovered ({event.rule})"
    is_urgent = event.severity == "critical" and event.rule == "runway"
    if is_urgent:
        return f"{event.account_id} is critical"
    return f"{event.account_id} {_WORDS[event.rule]}{', now ' + event.severity if event.event == 'escalated' else ''}"


def compose(events: Sequence[Event], report: Path) -> tuple[str, str]:
    """A message's title and body: what, when, how sure, how much to pay, and where to look."""
    ordered = sorted(events, key=lambda each: (each.event == "recovered", URGENCY.index(each.severity)))
    paragraphs = [
        f"{headline(each)} ({each.rule}, {each.event} {_instant(each.happened_at_utc)}).\n{each.message}".rstrip()
        for each in ordered[:MOST_SHOWN]
    ]
    if len(ordered) > MOST_SHOWN:
        paragraphs.append(f"And {len(ordered) - MOST_SHOWN} more: drawdown alerts")
    accounts = list(dict.fromkeys(each.account_id for each in ordered[:MOST_SHOWN]))
    where = f"drawdown explain {accounts[0] if len(accounts) == 1 else 'ACCOUNT'}"
    paragraphs.append(f"Where to look: {where}, or {report}")
    return _title(ordered), "\n\n".join(paragraphs)


def _title(ordered: Sequence[Event]) -> str:
    if len(ordered) == 1:
        return f"Drawdown: {headline(ordered[0])}"
    bad = [each for each in ordered if each.event != "recovered"]
    counts = [(sum(each.severity == severity for each in bad), severity) for severity in URGENCY]
    counts.append((len(ordered) - len(bad), "recovered"))
    told = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"Drawdown: {len(ordered)} changes: {told}"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
