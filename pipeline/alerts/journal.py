"""What happened to alerts, landed under `landing/_drawdown/alerts` and folded into states, events and deliveries.

Landing is the only source of truth: transitions with the states that they lead to, acknowledgements, and for each
message an intent before it is sent and an outcome after. An intent without an outcome means that the process died in
between: then nobody knows whether the message went out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from pipeline.alerts.machine import Acknowledgement, Event, Key, State
from pipeline.clock import Clock
from pipeline.home import Home
from pipeline.landing.own import land_own
from pipeline.landing.store import OWN, day_folders, each
from pipeline.staging.aliases import Aliases, read_aliases

ALERTS: Final = "alerts"
"""The place below `landing/_drawdown`."""


class Transitions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="transitions"):
    """What one run made of what it found."""

    at: datetime
    states: tuple[State, ...] = ()
    """Those that changed, as they are now."""
    events: tuple[Event, ...] = ()
    acknowledgements: tuple[str, ...] = ()
    """Fetch ids of the acknowledgements that were taken in."""


class Intent(msgspec.Struct, frozen=True, kw_only=True, tag="intent"):
    """A message is about to be sent."""

    at: datetime
    recipient: str
    event_ids: tuple[str, ...]
    """What the message covers: several messages a run have an intent and an outcome each."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="outcome"):
    """What became of a message, or of one that will not be sent."""

    at: datetime
    recipient: str
    event_ids: tuple[str, ...]
    intent_id: str | None = None
    is_delivered: bool = False
    is_given_up: bool = False
    attempt_count: int = 0
    is_possibly_repeated: bool = False
    """An attempt before the last may have arrived."""
    is_unknown: bool = False
    """It failed, and may have arrived all the same."""
    problem: str | None = None
    told_length: int | None = None
    """The message, where it arrived, ended within its event's paragraph, after so many characters of it."""


Entry = Transitions | Acknowledgement | Intent | Outcome


@dataclass(slots=True, kw_only=True)
class Delivery:
    """An event on its way to a recipient."""

    attempt_count: int = 0
    unknown_count: int = 0
    """Messages that may have arrived."""
    unanswered_count: int = 0
    """Those of them whose process did not live to say."""
    delivered_at: datetime | None = None
    is_given_up: bool = False
    is_possibly_repeated: bool = False
    problem: str | None = None
    told_length: int = 0
    """Characters of its paragraph that have arrived, where it takes more than one message."""

    @property
    def is_pending(self) -> bool:
        """It is still to be sent."""
        return self.delivered_at is None and not self.is_given_up


@dataclass(slots=True)
class Ledger:
    """All that the journal says."""

    states: dict[Key, State] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    """By event id, in the order in which they happened."""
    fetch_ids: dict[str, str] = field(default_factory=dict)
    """By event id, the entry that tells it; by account and rule (`account/rule`), the newest that tells the state."""
    deliveries: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    """By event id and recipient."""
    waiting: dict[str, Acknowledgement] = field(default_factory=dict)
    """Acknowledgements that no run has taken in yet, by fetch id."""


def land(home: Home, clock: Clock, run_id: str, entry: Entry) -> str:
    """Land an entry durably; returns its fetch id."""
    return land_own(home, clock, run_id, ALERTS, msgspec.json.encode(entry))


def load(connection: duckdb.DuckDBPyConnection, landing: Path, known_at: datetime | None = None) -> None:
    """Take over every landed entry that is not in `alerts.journal` yet, up to `known_at`.

    Run inside a transaction. Raises OSError or ValueError for a landing file that is not whole.
    """
    known = {name for (name,) in connection.execute("SELECT fetch_id FROM alerts.journal").fetchall()}
    since = _since(max(known)) if known else 0
    # A compaction that runs meanwhile can show a row twice.
    fresh = {
        row["fetch_id"]: [row["fetch_id"], row["run_id"], row["fetched_at_utc"], row["body"].decode()]
        for row in _landed(landing, since)
        if row["fetch_id"] not in known and (known_at is None or row["fetched_at_utc"] <= known_at)
    }
    if fresh:
        connection.executemany(
            "INSERT INTO alerts.journal (fetch_id, run_id, fetched_at_utc, entry_json) VALUES (?, ?, ?, ?)",
            [fresh[fetch_id] for fetch_id in sorted(fresh)],
        )


def _since(fetch_id: str) -> int:
    """Fetch ids tell real time: folders untouched since a day before the newest one hold nothing new."""
    return int(fetch_id, 16) - int(timedelta(days=1).total_seconds() * 1e9)


def _landed(landing: Path, since_ns: int) -> Iterator[dict[str, Any]]:
    for folder in day_folders(landing, OWN, ALERTS):
        if folder.stat().st_mtime_ns >= since_ns:
            for _, table in each(folder, ["fetch_id", "run_id", "fetched_at_utc", "body"]):
                yield from table.to_pylist()


def landed_entries(landing: Path, since: str = "") -> list[tuple[str, Entry]]:
    """What was landed after a fetch id, straight from landing, by fetch id and in its order."""
    found = {
        row["fetch_id"]: _decode(row["body"])
        for row in _landed(landing, _since(since) if since else 0)
        if row["fetch_id"] > since
    }
    return sorted(found.items())


def read_ledger(connection: duckdb.DuckDBPyConnection) -> Ledger:
    """Fold `alerts.journal`; what happened to an account under a former name happened to it."""
    rows = connection.execute("SELECT fetch_id, entry_json FROM alerts.journal ORDER BY fetch_id").fetchall()
    aliases = read_aliases(connection)
    return fold((fetch_id, _renamed(_decode(body), aliases)) for fetch_id, body in rows)


def _renamed(entry: Entry, aliases: Aliases) -> Entry:
    if not aliases.names:
        return entry
    if isinstance(entry, Acknowledgement):
        return msgspec.structs.replace(entry, account_id=aliases.today(entry.account_id))
    if isinstance(entry, Transitions):
        return msgspec.structs.replace(
            entry,
            states=tuple(
                msgspec.structs.replace(each, account_id=aliases.today(each.account_id)) for each in entry.states
            ),
            events=tuple(
                msgspec.structs.replace(each, account_id=aliases.today(each.account_id)) for each in entry.events
            ),
        )
    return entry


_DECODER: Final[msgspec.json.Decoder[Entry]] = msgspec.json.Decoder(Entry)


def _decode(body: bytes | str) -> Entry:
    try:
        return _DECODER.decode(body)
    except msgspec.MsgspecError as problem:
        raise ValueError(f"landing holds a damaged body under _drawdown/alerts: {problem}") from None


def fold(entries: Iterable[tuple[str, Entry]]) -> Ledger:
    """What entries come to, given by fetch id and in its order."""
    ledger = Ledger()
    open_intents: dict[str, Intent] = {}
    taken: set[str] = set()
    for fetch_id, entry in entries:
        match entry:
            case Transitions():
                for event in entry.events:
                    ledger.events[event.event_id] = event
                    ledger.fetch_ids[event.event_id] = fetch_id
                    for recipient in event.recipients:
                        ledger.deliveries[event.event_id, recipient] = Delivery()
                for state in entry.states:
                    ledger.states[state.account_id, state.rule] = state
                    ledger.fetch_ids[f"{state.account_id}/{state.rule}"] = fetch_id
                taken.update(entry.acknowledgements)
            case Acknowledgement():
                ledger.waiting[fetch_id] = entry
            case Intent():
                open_intents[fetch_id] = entry
                for delivery in _deliveries(ledger, entry):
                    # Until its outcome is known, it may have gone out.
                    delivery.is_possibly_repeated |= delivery.unknown_count > 0
                    delivery.attempt_count += 1
                    delivery.unknown_count += 1
            case Outcome():
                _settle(ledger, entry, is_of_intent=open_intents.pop(entry.intent_id or "", None) is not None)
    for intent in open_intents.values():
        for delivery in _deliveries(ledger, intent):
            delivery.unanswered_count += 1
    for fetch_id in taken:
        ledger.waiting.pop(fetch_id, None)
    return ledger


def _settle(ledger: Ledger, outcome: Outcome, *, is_of_intent: bool) -> None:
    for delivery in _deliveries(ledger, outcome):
        if is_of_intent:
            delivery.attempt_count += outcome.attempt_count - 1
            delivery.unknown_count -= not outcome.is_unknown
        if outcome.is_delivered and outcome.told_length is not None:
            delivery.told_length = outcome.told_length
        delivery.delivered_at = outcome.at if outcome.is_delivered and outcome.told_length is None else None
        delivery.is_given_up = outcome.is_given_up
        delivery.is_possibly_repeated |= outcome.is_possibly_repeated
        delivery.problem = outcome.problem


def _deliveries(ledger: Ledger, message: Intent | Outcome) -> Iterable[Delivery]:
    for event_id in message.event_ids:
        yield ledger.deliveries.setdefault((event_id, message.recipient), Delivery())
