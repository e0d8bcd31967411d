"""Text of messages: as few messages as possible for all alert events of one recipient.

Services refuse or cut texts that are too long, so no message is longer than its recipient's service accepts. An event's
paragraph is kept in one message; only a paragraph longer than a whole message continues in the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pipeline.alerts.state_machine import Event
from pipeline.alerts.subjects import Subject, subjects
from pipeline.schema.scopes import is_account
from pipeline.schema.severities import EVERY_ACCOUNT, URGENCY
from pipeline.support.wording import count

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
    vendors: Mapping[str, str] | None = None,
    preface: str = "",
) -> list[Message]:
    """Compose the messages of a run: what, when, how certain, how much to pay, where to look; most urgent events first.

    `report` is the path or address of the report. `limit` is the maximum length of title and body together. `delivered`
    gives, by event id, how many characters of an event's paragraph have already arrived: it continues there. `notes`,
    by event id, follow the event's text. `vendors` has the title of each account's vendor, for `subjects`. `preface`
    begins the first message if the limit has room for it. Returns at most MOST_MESSAGES; events without a message wait
    for the next run.
    """
    ordered = sorted(events, key=lambda each: (each.event == "recovered", URGENCY.index(each.severity)))
    every = subjects(ordered, notes or {}, vendors or {})
    tail = _tail(ordered, report, limit)
    head = preface if len(preface) <= limit // 4 else ""
    # The longest possible title, and the blank lines between title, paragraphs and tail.
    reserve = (
        max((len(_title([each], "(message 99 of 99)", limit)) for each in every), default=0)
        + min(_MOST_OTHERS, limit // 8)
        + 2
        + sum(len(each) + 2 for each in (head, tail) if each)
    )
    room = max(limit - reserve, _LEAST_ROOM)
    parts = _packed(every, room, delivered or {})
    if len(parts) > MOST_IN_FULL:
        full = {subject.events[0].event_id for part in parts[:MOST_IN_FULL] for subject in part.whole}
        in_full = [each for each in every if each.events[0].event_id in full]
        in_brief = [replace(each, text=f"{each.headline}.") for each in every if each.events[0].event_id not in full]
        parts = _packed(in_full, room, delivered or {}) + _packed(in_brief, room, {}, gap="\n")
        parts = parts[:MOST_MESSAGES]
    messages = []
    for number, part in enumerate(parts, start=1):
        place = f"(message {number} of {len(parts)})" if len(parts) > 1 else ""
        messages.append(
            Message(
                title=_title(part.subjects, place, limit),
                kind=_kind(part.events),
                body="\n\n".join(filter(None, (head if number == 1 else "", part.text, tail))),
                event_ids=tuple(event.event_id for event in part.events),
                delivered_length=part.delivered_length,
            )
        )
    return messages


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    subjects: tuple[Subject, ...]
    text: str
    delivered_length: int | None = None

    @property
    def events(self) -> tuple[Event, ...]:
        """Events of its subjects."""
        return tuple(event for each in self.subjects for event in each.events)

    @property
    def whole(self) -> tuple[Subject, ...]:
        """Subjects whose paragraphs end in the message."""
        return self.subjects if self.delivered_length is None else ()


def _packed(every: Sequence[Subject], room: int, delivered: Mapping[str, int], *, gap: str = "\n\n") -> list[_Part]:
    """Fill each part with complete paragraphs; a paragraph longer than a part is cut and gets parts to itself."""
    parts: list[_Part] = []
    for subject in every:
        start = max(delivered.get(event.event_id, 0) for event in subject.events)
        pieces = list(_pieces(subject, start, room))
        if len(pieces) == 1 and parts and parts[-1].delivered_length is None:
            joined = f"{parts[-1].text}{gap}{pieces[0].text}"
            if len(joined) <= room:
                parts[-1] = _Part(subjects=(*parts[-1].subjects, subject), text=joined)
                continue
        parts += pieces
    return parts


def _pieces(subject: Subject, start: int, room: int) -> Iterator[_Part]:
    """Cut the undelivered rest of a paragraph into texts that fit."""
    paragraph = subject.text
    while True:
        start = start if start < len(paragraph) else 0
        opening = f"{subject.name}, continued: " if start else ""
        text = opening + paragraph[start:].lstrip()
        if len(text) <= room:
            yield _Part(subjects=(subject,), text=text)
            return
        kept = cut_at(text, room)
        start = len(paragraph) - len(text) + kept
        yield _Part(subjects=(subject,), text=text[:kept].rstrip(), delivered_length=start)


def cut_at(text: str, room: int) -> int:
    """Position at which to cut a text longer than `room`: after a line, a sentence or a word in its last half."""
    for pattern in (r"\n+", r"[.;:] +", r"\s+"):
        ends = [found.end() for found in re.finditer(pattern, text[:room]) if found.end() > room // 2]
        if ends:
            return ends[-1]
    return room


def _tail(ordered: Sequence[Event], report: str, limit: int) -> str:
    accounts = list(dict.fromkeys(each.account_id for each in ordered if is_account(each.account_id)))
    command = f"explain {accounts[0] if len(accounts) == 1 else 'ACCOUNT'}" if accounts else "status"
    where = f"Where to look: drawdown {command}"
    tails = (f"{where}, or {report}", where, "")
    return next(each for each in tails if len(each) <= limit // 4)


def _kind(covered: Sequence[Event]) -> str:
    """The worst severity of the events of a message."""
    bad = [each.severity for each in covered if each.event != "recovered"]
    return min(bad, key=URGENCY.index) if bad else "recovered"


def _title(covered: Sequence[Subject], place: str, limit: int) -> str:
    """The worst fact of a message, and the other accounts in it."""
    several = f" {place}" if place else ""
    title = f"Drawdown: {covered[0].headline}"
    if len(title) + len(several) > limit // 4:
        # A text message (SMS) has room for its subject only.
        return f"Drawdown{several}"
    return f"{title}{_others(covered, min(_MOST_OTHERS, limit // 8))}{several}"


def _others(covered: Sequence[Subject], room: int) -> str:
    """What else a message is about, as much as fits, or the number of further changes."""
    first, *rest = covered
    names = [name for name in dict.fromkeys(each.name for each in rest) if name not in (first.name, EVERY_ACCOUNT)]
    for shown in range(len(names), 0, -1):
        left = len(names) - shown
        listed = f"; also {', '.join(names[:shown])}{f' and {left} more' if left else ''}"
        if len(listed) <= room:
            return listed
    more = f"; {count(len(rest), 'more change')}"
    return more if rest and len(more) <= room else ""
