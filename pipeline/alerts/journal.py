"""The alert journal, landed under `landing/_drawdown/alerts` and folded into states, events and deliveries.

Landing is the only source of truth. It holds transitions with the resulting states, acknowledgements, and for each
message an intent before it is sent and an outcome afterwards. An intent without an outcome means that the process died
in between and that it is unknown whether the message was sent.

Messages are sent after a build is published, so a build cannot hold the outcomes of its own run. Transitions state up
to which entry they have read the journal (`through`), and tables count deliveries and run results only up to there, so
a rebuild makes the same tables as the run. Delivery reads the whole journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec

from pipeline.alerts.state_machine import Acknowledgement, Event, Key, State
from pipeline.landing.own import ALERTS, ENVELOPE, land_own, read_own
from pipeline.landing.store import OWN, day_folders, each
from pipeline.staging.aliases import Aliases, read_aliases
from pipeline.support.clock import Clock
from pipeline.support.home import Home


class Transitions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="transitions"):
    """Changes of states, and events, that one run derived."""

    at: datetime
    states: tuple[State, ...] = ()
    """States that changed, with their new values."""
    events: tuple[Event, ...] = ()
    acknowledgements: tuple[str, ...] = ()
    """Fetch ids of the acknowledgements that were applied."""
    through: str | None = None
    """Newest journal entry that the run had read; None in entries of versions that sent messages before publishing."""


class RunTransitions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="run_transitions"):
    """Change of the alert about runs at the end of a run."""

    at: datetime
    states: tuple[State, ...] = ()
    events: tuple[Event, ...] = ()


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="intent"):
    """Record that a message is about to be sent."""

    at: datetime
    recipient: str
    event_ids: tuple[str, ...]
    """Events that the message covers. A run may send several messages, each with its own intent and outcome."""


class DeliveryOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="outcome"):
    """Outcome of a message, or the record that none will be sent."""

    at: datetime
    recipient: str
    event_ids: tuple[str, ...]
    intent_id: str | None = None
    is_delivered: bool = False
    is_given_up: bool = False
    """No message will be sent: the alert was acknowledged or had recovered, or its recipient is no longer configured.
    """
    attempt_count: int = 0
    run_id: str | None = None
    """Run of the attempt: all failures of one run are one step of the backoff. None in entries of earlier versions."""
    is_possibly_repeated: bool = False
    """An attempt before the last may have arrived."""
    is_unknown: bool = False
    """The message failed, but may have arrived."""
    problem: str | None = None
    delivered_length: int | None = msgspec.field(default=None, name="told_length")
    """Characters of the event's paragraph delivered so far, if the message ended within it."""


JournalEntry = Transitions | RunTransitions | Acknowledgement | Intent | DeliveryOutcome


@dataclass(slots=True, kw_only=True)
class Delivery:
    """Delivery of an event to a recipient."""

    attempt_count: int = 0
    unknown_count: int = 0
    """Messages that may have arrived."""
    unanswered_count: int = 0
    """Number of those whose process died before recording an outcome."""
    delivered_at: datetime | None = None
    is_given_up: bool = False
    is_possibly_repeated: bool = False
    problem: str | None = None
    delivered_length: int = 0
    """Characters of the event's paragraph delivered so far, if it needs more than one message."""

    @property
    def is_pending(self) -> bool:
        """Whether the event still has to be sent."""
        return self.delivered_at is None and not self.is_given_up


@dataclass(slots=True, kw_only=True)
class Outage:
    """Failures at a recipient since the last successful delivery."""

    failed_run_count: int = 0
    """Runs in which a message failed."""
    unanswered_count: int = 0
    """Messages whose process died before recording an outcome."""
    since: datetime | None = None
    tried_at: datetime | None = None
    """Time of the newest attempt."""
    problem: str | None = None
    last_run_id: str | None = None


@dataclass(slots=True)
class Ledger:
    """Contents of the journal."""

    states: dict[Key, State] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    """By event id, in the order in which they happened."""
    fetch_ids: dict[str, str] = field(default_factory=dict)
    """Fetch id of the entry that reports an event, by event id; and of the newest entry of a state, by `account/rule`.
    """
    deliveries: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    """By event id and recipient."""
    waiting: dict[str, Acknowledgement] = field(default_factory=dict)
    """Acknowledgements that no run has applied yet, by fetch id."""
    outages: dict[str, Outage] = field(default_factory=dict)
    """By recipient; recipients that accepted the last message have none."""
    newest: str = ""
    """The newest entry's fetch id."""
    has_untaken: bool = False
    """Whether there was a delivery, a failed one or the end of a run after the last run that read the journal."""


_COPIED: Final = ("fetch_id", "run_id", "fetched_at_utc", "version_id", "format_version")


def land(home: Home, clock: Clock, run_id: str, entry: JournalEntry) -> str:
    """Land an entry durably; returns its fetch id."""
    return land_own(home, clock, run_id, ALERTS, msgspec.json.encode(entry))


def load(connection: duckdb.DuckDBPyConnection, landing: Path, known_at: datetime | None = None) -> None:
    """Load every landed entry that is missing in `alerts.journal`, up to `known_at`.

    Run inside a transaction. Raises OSError or ValueError for a damaged landing file.
    """
    known = {name for (name,) in connection.execute("SELECT fetch_id FROM alerts.journal").fetchall()}
    since = _since(max(known)) if known else 0
    # A concurrent compaction can make a row appear twice.
    fresh = {
        row["fetch_id"]: [*(row[name] for name in _COPIED), row["body"].decode(errors="replace")]
        for row in _landed(landing, since)
        if row["fetch_id"] not in known and (known_at is None or row["fetched_at_utc"] <= known_at)
    }
    if fresh:
        connection.executemany(
            f"INSERT INTO alerts.journal ({', '.join(_COPIED)}, entry_json) VALUES (?, ?, ?, ?, ?, ?)",
            [fresh[fetch_id] for fetch_id in sorted(fresh)],
        )


def _since(fetch_id: str) -> int:
    """Folders that can hold entries newer than `newest`: fetch ids follow real time, so older folders are skipped."""
    return int(fetch_id, 16) - int(timedelta(days=1).total_seconds() * 1e9)


def _landed(landing: Path, since_ns: int) -> Iterator[dict[str, Any]]:
    for folder in day_folders(landing, OWN, ALERTS):
        if folder.stat().st_mtime_ns >= since_ns:
            for _, table in each(folder, ["fetch_id", "run_id", "fetched_at_utc", "body", *ENVELOPE]):
                yield from table.to_pylist()


def landed_entries(landing: Path, since: str = "") -> list[tuple[str, JournalEntry]]:
    """Entries that were landed after a fetch id, read directly from landing; by fetch id, in order."""
    rows = (row for row in _landed(landing, _since(since) if since else 0) if row["fetch_id"] > since)
    return sorted(_readable(rows, Aliases()).items())


def read_ledger(connection: duckdb.DuckDBPyConnection, *, is_for_tables: bool = False) -> Ledger:
    """Fold `alerts.journal`; entries under a former name of an account count for the account.

    For tables, so without entries that no run has read yet.
    """
    journal = JournalCopy.of(connection)
    return fold(journal.entries.items(), is_for_tables=is_for_tables)


@dataclass(frozen=True, slots=True)
class JournalCopy:
    """Copy of `alerts.journal`, for use after the warehouse is closed."""

    entries: dict[str, JournalEntry]
    """By fetch id, in order."""
    aliases: Aliases

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection) -> JournalCopy:
        """Read the journal table."""
        names = ("fetch_id", "body", "endpoint", "version_id", "format_version")
        rows = connection.execute(
            "SELECT fetch_id, encode(entry_json), ?, version_id, format_version FROM alerts.journal ORDER BY fetch_id",
            [ALERTS],
        ).fetchall()
        aliases = read_aliases(connection)
        return cls(_readable((dict(zip(names, row, strict=True)) for row in rows), aliases), aliases)

    @classmethod
    def of_nothing(cls) -> JournalCopy:
        """Return an empty copy, for when the warehouse cannot be read.

        Landing has all entries, under the account names of their time.
        """
        return cls({}, Aliases())

    def ledger(self, landing: Path) -> Ledger:
        """Fold the copy together with newer entries in landing.

        Raises OSError or ValueError for a damaged landing file.
        """
        since = _since(max(self.entries)) if self.entries else 0
        rows = (row for row in _landed(landing, since) if row["fetch_id"] not in self.entries)
        fresh = _readable(rows, self.aliases)
        return fold(sorted({**self.entries, **fresh}.items()))


def _renamed(entry: JournalEntry, aliases: Aliases) -> JournalEntry:
    if not aliases.names:
        return entry
    if isinstance(entry, Acknowledgement):
        return msgspec.structs.replace(entry, account_id=aliases.today(entry.account_id))
    if isinstance(entry, Transitions | RunTransitions):
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


_DECODER: Final[msgspec.json.Decoder[JournalEntry]] = msgspec.json.Decoder(JournalEntry)


def _readable(rows: Iterable[Mapping[str, Any]], aliases: Aliases) -> dict[str, JournalEntry]:
    """Decode rows of landing into entries by fetch id, under the current account names.

    Entries that only a later version can read are skipped. Raises ValueError for a damaged one.
    """
    found: dict[str, JournalEntry] = {}
    for row in rows:
        entry = read_own(row, _DECODER.decode)
        if entry is not None:
            found[row["fetch_id"]] = _renamed(entry, aliases)
    return found


def fold(entries: Iterable[tuple[str, JournalEntry]], *, is_for_tables: bool = False) -> Ledger:
    """Fold entries, given by fetch id in order, into a ledger.

    For tables, deliveries and run results count only as far as a run has read them. Journals of versions that sent
    messages before publishing do not record that, and count completely.
    """
    known = list(entries)
    marks = [entry.through for _, entry in known if isinstance(entry, Transitions)]
    through = max((mark for mark in marks if mark is not None), default=None)
    ledger = Ledger(newest=known[-1][0] if known else "")
    open_intents: dict[str, Intent] = {}
    taken: set[str] = set()
    for fetch_id, entry in known:
        if isinstance(entry, Intent | DeliveryOutcome | RunTransitions):
            is_taken = through is not None and fetch_id <= through
            ledger.has_untaken |= not is_taken
            is_of_old = through is None and not isinstance(entry, RunTransitions)
            if is_for_tables and not (is_taken or is_of_old):
                continue
        match entry:
            case Transitions() | RunTransitions():
                for event in entry.events:
                    ledger.events[event.event_id] = event
                    ledger.fetch_ids[event.event_id] = fetch_id
                    for recipient in event.recipients:
                        ledger.deliveries[event.event_id, recipient] = Delivery()
                for state in entry.states:
                    ledger.states[state.account_id, state.rule] = state
                    ledger.fetch_ids[f"{state.account_id}/{state.rule}"] = fetch_id
                if isinstance(entry, Transitions):
                    taken.update(entry.acknowledgements)
            case Acknowledgement():
                ledger.waiting[fetch_id] = entry
            case Intent():
                open_intents[fetch_id] = entry
                for delivery in _deliveries(ledger, entry):
                    # Until the outcome is known, the message may have been sent.
                    delivery.is_possibly_repeated |= delivery.unknown_count > 0
                    delivery.attempt_count += 1
                    delivery.unknown_count += 1
            case DeliveryOutcome():
                _settle(ledger, entry, is_of_intent=open_intents.pop(entry.intent_id or "", None) is not None)
                if entry.is_delivered:
                    # Earlier messages without an outcome do not count against a recipient that responds now.
                    for intent_id in [key for key, each in open_intents.items() if each.recipient == entry.recipient]:
                        _leave_unanswered(ledger, open_intents.pop(intent_id))
                _book_outage(ledger, entry)
    for intent in open_intents.values():
        _leave_unanswered(ledger, intent)
        outage = ledger.outages.setdefault(intent.recipient, Outage())
        outage.unanswered_count += 1
        outage.since = outage.since or intent.at
        outage.tried_at = intent.at if outage.tried_at is None else max(outage.tried_at, intent.at)
    for fetch_id in taken:
        ledger.waiting.pop(fetch_id, None)
    return ledger


def _leave_unanswered(ledger: Ledger, intent: Intent) -> None:
    for delivery in _deliveries(ledger, intent):
        delivery.unanswered_count += 1


def _book_outage(ledger: Ledger, outcome: DeliveryOutcome) -> None:
    if outcome.is_delivered:
        ledger.outages.pop(outcome.recipient, None)
    elif not outcome.is_given_up:
        outage = ledger.outages.setdefault(outcome.recipient, Outage())
        if outcome.run_id is None or outcome.run_id != outage.last_run_id:
            outage.failed_run_count += 1
        outage.last_run_id = outcome.run_id
        outage.since = outage.since or outcome.at
        outage.tried_at = outcome.at
        outage.problem = outcome.problem


def _settle(ledger: Ledger, outcome: DeliveryOutcome, *, is_of_intent: bool) -> None:
    for delivery in _deliveries(ledger, outcome):
        if is_of_intent:
            delivery.attempt_count += outcome.attempt_count - 1
            delivery.unknown_count -= not outcome.is_unknown
        if outcome.is_delivered and outcome.delivered_length is not None:
            delivery.delivered_length = outcome.delivered_length
        delivery.delivered_at = outcome.at if outcome.is_delivered and outcome.delivered_length is None else None
        delivery.is_given_up = outcome.is_given_up
        delivery.is_possibly_repeated |= outcome.is_possibly_repeated
        delivery.problem = outcome.problem


def _deliveries(ledger: Ledger, message: Intent | DeliveryOutcome) -> Iterable[Delivery]:
    for event_id in message.event_ids:
        yield ledger.deliveries.setdefault((event_id, message.recipient), Delivery())
