"""Text of messages: as few messages as possible for all alert events of one recipient.

Services refuse or cut texts that are too long, so no message is longer than its recipient's service accepts. An event's
paragraph is kept in one message; only a paragraph longer than a whole message continues in the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.alerts.state_machine import Event
from pipeline.schema.severities import EVERY_ACCOUNT, RUN_FAILED, URGENCY
from pipeline.support.printable import printable, printable_lines
from pipeline.support.wording import count, instant

MOST_CHARACTERS: Final = 2_000
"""Characters of a message, title included: Discord's limit, the smallest that chat services document. A smaller limit
that Apprise knows for a service, such as Pushover's 1,024, takes precedence."""
MOST_IN_FULL: Final = 10
"""Messages of a run with complete paragraphs; the following ones list headlines only."""
MOST_MESSAGES: Final = 20
"""Messages to a recipient in one run; the rest waits for the next run."""
_MOST_OTHERS: Final = 80
"""Characters of a title for the accounts after the first."""
_LEAST_ROOM: Final = 40
"""Characters reserved for events, however long the title and the report's path are."""

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
}
_RUNS: Final = {
    "opened": "the last run failed",
    "escalated": "runs are still failing",
    "acknowledged": "failed runs are acknowledged",
    "recovered": "runs succeed again",
}


def headline(event: Event) -> str:
    """Short statement of an event."""
    if event.rule == RUN_FAILED:
        return _RUNS[event.event]
    if event.event == "recovered":
        return f"{event.account_id} {_RECOVERED.get(event.rule, f'has recovered ({event.rule})')}"
    is_urgent = event.severity == "critical" and event.rule == "runway"
    if is_urgent:
        return f"{event.account_id} is critical"
    # A rule of a later version is not known here.
    words = _WORDS.get(event.rule, f"has an alert ({event.rule})")
    return f"{event.account_id} {words}{', now ' + event.severity if event.event == 'escalated' else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, and the events that it covers."""

    title: str
    body: str
    event_ids: tuple[str, ...]
    kind: str
    """How the service marks it: a severity of LEVELS, or `recovered` if nothing in it is bad."""
    delivered_length: int | None = None
    """If the message ends within its event's paragraph: the number of characters of it delivered by then."""


def compose(
    events: Sequence[Event],
    report: str,
    *,
    limit: int = MOST_CHARACTERS,
    delivered: Mapping[str, int] | None = None,
    notes: Mapping[str, str] | None = None,
    preface: str = "",
) -> list[Message]:
    """Compose the messages of a run: what, when, how certain, how much to pay, where to look; most urgent events first.

    `report` is the path or address of the report. `limit` is the maximum length of title and body together. `delivered`
    gives, by event id, how many characters of an event's paragraph have already arrived: it continues there. `notes`,
    by event id, follow the event's text; `preface` begins the first message if the limit has room for it. Returns at
    most MOST_MESSAGES; events without a message wait for the next run.
    """
    notes = notes or {}
    ordered = sorted(events, key=lambda each: (each.event == "recovered", URGENCY.index(each.severity)))
    tail = _tail(ordered, report, limit)
    head = preface if len(preface) <= limit // 4 else ""
    # The longest possible title, and the blank lines between title, paragraphs and tail.
    reserve = (
        max((len(_title([each], "(message 99 of 99)", limit)) for each in ordered), default=0)
        + min(_MOST_OTHERS, limit // 8)
        + 2
        + sum(len(each) + 2 for each in (head, tail) if each)
    )
    room = max(limit - reserve, _LEAST_ROOM)
    parts = _packed([(event, _paragraph(event, notes)) for event in ordered], room, delivered or {})
    if len(parts) > MOST_IN_FULL:
        full = {event.event_id for part in parts[:MOST_IN_FULL] for event in part.whole}
        in_full = [(event, _paragraph(event, notes)) for event in ordered if event.event_id in full]
        in_brief = [(event, f"{headline(event)}.") for event in ordered if event.event_id not in full]
        parts = _packed(in_full, room, delivered or {}) + _packed(in_brief, room, {}, gap="\n")
        parts = parts[:MOST_MESSAGES]
    messages = []
    for number, part in enumerate(parts, start=1):
        place = f"(message {number} of {len(parts)})" if len(parts) > 1 else ""
        messages.append(
            Message(
                title=_title(part.events, place, limit),
                kind=_kind(part.events),
                body="\n\n".join(filter(None, (head if number == 1 else "", part.text, tail))),
                event_ids=tuple(event.event_id for event in part.events),
                delivered_length=part.delivered_length,
            )
        )
    return messages


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    events: tuple[Event, ...]
    text: str
    delivered_length: int | None = None

    @property
    def whole(self) -> tuple[Event, ...]:
        """Events whose paragraphs end in the message."""
        return self.events if self.delivered_length is None else ()


def _packed(
    paragraphs: Sequence[tuple[Event, str]], room: int, delivered: Mapping[str, int], *, gap: str = "\n\n"
) -> list[_Part]:
    """Fill each part with complete paragraphs; a paragraph longer than a part is cut and gets parts to itself."""
    parts: list[_Part] = []
    for event, paragraph in paragraphs:
        pieces = list(_pieces(event, paragraph, delivered.get(event.event_id, 0), room))
        if len(pieces) == 1 and parts and parts[-1].delivered_length is None:
            joined = f"{parts[-1].text}{gap}{pieces[0].text}"
            if len(joined) <= room:
                parts[-1] = _Part(events=(*parts[-1].events, event), text=joined)
                continue
        parts += pieces
    return parts


def _pieces(event: Event, paragraph: str, start: int, room: int) -> Iterator[_Part]:
    """Cut the undelivered rest of a paragraph into texts that fit."""
    while True:
        start = start if start < len(paragraph) else 0
        opening = f"{event.account_id}, continued: " if start else ""
        text = opening + paragraph[start:].lstrip()
        if len(text) <= room:
            yield _Part(events=(event,), text=text)
            return
        kept = cut_at(text, room)
        start = len(paragraph) - len(text) + kept
        yield _Part(events=(event,), text=text[:kept].rstrip(), delivered_length=start)


def cut_at(text: str, room: int) -> int:
    """Position at which to cut a text longer than `room`: after a line, a sentence or a word in its last half."""
    for pattern in (r"\n+", r"[.;:] +", r"\s+"):
        ends = [found.end() for found in re.finditer(pattern, text[:room]) if found.end() > room // 2]
        if ends:
            return ends[-1]
    return room


def _paragraph(event: Event, notes: Mapping[str, str]) -> str:
    about = f"{headline(event)} ({event.rule} alert {event.event} {instant(event.happened_at_utc)})."
    words = " ".join(filter(None, (event.message, notes.get(event.event_id))))
    # A failed run has one line for each problem, already printable; everything else is a single line.
    shown = printable_lines(words.split("\n")) if event.rule == RUN_FAILED else printable(words)
    return f"{about}\n{shown}".rstrip()


def _tail(ordered: Sequence[Event], report: str, limit: int) -> str:
    accounts = list(dict.fromkeys(each.account_id for each in ordered if each.account_id != EVERY_ACCOUNT))
    command = f"explain {accounts[0] if len(accounts) == 1 else 'ACCOUNT'}" if accounts else "status"
    where = f"Where to look: drawdown {command}"
    tails = (f"{where}, or {report}", where, "")
    return next(each for each in tails if len(each) <= limit // 4)


def _kind(covered: Sequence[Event]) -> str:
    """The worst severity of the events of a message."""
    bad = [each.severity for each in covered if each.event != "recovered"]
    return min(bad, key=URGENCY.index) if bad else "recovered"


def _title(covered: Sequence[Event], place: str, limit: int) -> str:
    """The worst fact of a message, and the other accounts in it."""
    several = f" {place}" if place else ""
    title = f"Drawdown: {headline(covered[0])}"
    if len(title) + len(several) > limit // 4:
        # A text message (SMS) has room for its subject only.
        return f"Drawdown{several}"
    return f"{title}{_others(covered, min(_MOST_OTHERS, limit // 8))}{several}"


def _others(covered: Sequence[Event], room: int) -> str:
    """Accounts of a message other than that of its first event, as many as fit, or the number of further events."""
    first, *rest = covered
    names = list(dict.fromkeys(each.account_id for each in rest))
    names = [name for name in names if name not in (first.account_id, EVERY_ACCOUNT)]
    for shown in range(len(names), 0, -1):
        left = len(names) - shown
        listed = f"; also {', '.join(names[:shown])}{f' and {left} more' if left else ''}"
        if len(listed) <= room:
            return listed
    more = f"; {count(len(rest), 'more change')}"
    return more if rest and len(more) <= room else ""
