"""Delivery of messages: after a build is published, with the warehouse unlocked, to all recipients in parallel.

An intent is landed and synced before a message is sent, and its outcome afterwards. If the process dies in between, it
is unknown whether the message was sent: it is sent once more, marked as possibly repeated, and after that once a day.
Events that do not fit into one message are sent in several, each with its own outcome, so that a failed message does
not repeat those that arrived.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pipeline.alerts.channel import Failure, most_characters, send
from pipeline.alerts.journal import DeliveryOutcome, Intent, JournalEntry, Ledger, land
from pipeline.alerts.messages import Message, compose
from pipeline.alerts.pending import DueEvent, Recipients, is_due, next_attempt, pending
from pipeline.settings.alert_policy import Policy
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError
from pipeline.support.file_lock import wait_for_lock
from pipeline.support.home import Home, private_folder
from pipeline.support.secret import Secret
from pipeline.support.wording import count

TRIES: Final = 3
"""Attempts for a message in one run."""
MOST_FAILURES: Final = 2
"""Consecutive failed messages after which a run stops sending to a recipient."""
RECIPIENT_SECONDS: Final = 30.0
"""Time limit for all messages of a run to one recipient."""
ALL_SECONDS: Final = 45.0
"""Time limit for all recipients together."""
MOST_AT_ONCE: Final = 32
"""Recipients that are served in parallel."""
_WAITS: Final = (0.5, 2.0)
"""Seconds between the attempts of a run."""

_journal = threading.Lock()
"""Serialises landing, so that fetch ids are unique and in order."""


@dataclass(slots=True)
class Delivered:
    """Result of sending a run's messages."""

    problems: list[str] = field(default_factory=list)
    """One line for each recipient with an undelivered message."""
    unwritten: list[str] = field(default_factory=list)
    """Recipients to whom nothing was sent, because the journal could not be written."""


@contextlib.contextmanager
def sole_deliverer(home: Home, *, wait_seconds: float = ALL_SECONDS + 15) -> Iterator[bool]:
    """Hold `delivery.lock`, so that no other process sends the same messages; yields False if another process holds it.

    The lock is released when its holder exits or dies. Nothing is written to the file, so the lock also works on a full
    disk. Raises OSError if the file cannot be created.
    """
    private_folder(home.path)
    handle = os.open(home.path / "delivery.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield wait_for_lock(handle, wait_seconds)
    finally:
        os.close(handle)


def deliver(
    ledger: Ledger,
    policy: Policy,
    recipients: Recipients,
    url_of: Callable[[str], Secret],
    home: Home,
    clock: Clock,
    run_id: str,
    vendors: Mapping[str, str] | None = None,
) -> Delivered:
    """Send what is due, in as few messages as each recipient's service accepts.

    The caller must be the sole deliverer. Returns within ALL_SECONDS; a recipient that hangs does not delay the others.
    `url_of` raises UsageError for a variable that holds no URL. `vendors` has the title of each account's vendor.
    """
    now = clock.now()
    done = Delivered()
    to_do = pending(ledger, policy, recipients)
    for (recipient, reason), event_ids in to_do.settled.items():
        settled = DeliveryOutcome(
            at=now, recipient=recipient, event_ids=tuple(event_ids), is_given_up=True, problem=reason
        )
        # On a full disk, a later run records it.
        with contextlib.suppress(OSError):
            land(home, clock, run_id, settled)
    mailings = []
    for recipient, due_events in to_do.due_events.items():
        sendable = [each for each in due_events if not policy.is_postponed(each.event.severity, now)]
        outage = ledger.outages.get(recipient)
        if not sendable:
            continue
        if not is_due(outage, sendable, now):
            why = (
                outage.problem
                if outage and outage.problem
                else "the process ended before it was known whether the message arrived"
            )
            done.problems.append(
                f"alerts: {count(len(sendable), 'change')} for {recipient} could not be sent: {why}; "
                f"{_again(ledger, recipient)}"
            )
            continue
        try:
            report = policy.report_url or str(home.published / "report" / "index.html")
            mailings.append(
                _mailing(recipient, url_of(recipient), sendable, ledger, report, vendors or {}, home, clock, run_id)
            )
        except DrawdownError as unusable:
            done.problems.append(f"alerts: {unusable}; the next run tries again")
    _send_all(mailings)
    for mailing in mailings:
        done.problems += mailing.problems()
        if mailing.is_unwritten:
            done.unwritten.append(mailing.recipient)
    return done


def _again(ledger: Ledger, recipient: str) -> str:
    after = next_attempt(ledger.outages.get(recipient))
    return f"tried again after {after:%Y-%m-%d %H:%M} UTC" if after else "the next run tries again"


def _mailing(
    recipient: str,
    url: Secret,
    due_events: Sequence[DueEvent],
    ledger: Ledger,
    report: str,
    vendors: Mapping[str, str],
    home: Home,
    clock: Clock,
    run_id: str,
) -> _Mailing:
    events = [each.event for each in due_events]
    delivered = {
        event.event_id: ledger.deliveries[event.event_id, recipient].delivered_length
        for event in events
        if (event.event_id, recipient) in ledger.deliveries
    }
    outage = ledger.outages.get(recipient)
    preface = ""
    # The rest of a paragraph that was partly delivered must follow it directly.
    if outage is not None and outage.since is not None and outage.failed_run_count and not any(delivered.values()):
        preface = f"No message could be delivered since {outage.since:%Y-%m-%d %H:%M} UTC. The current state follows."
    messages = compose(
        events,
        report,
        limit=most_characters(url),
        delivered=delivered,
        notes={each.event.event_id: each.note for each in due_events if each.note},
        vendors=vendors,
        preface=preface,
    )
    return _Mailing(
        recipient=recipient,
        url=url,
        messages=messages,
        covered={each.event.event_id: each.event_ids for each in due_events},
        left_over=len(events) - len({each for message in messages for each in message.event_ids}),
        land=lambda entry: land(home, clock, run_id, entry),
        now=clock.now,
        run_id=run_id,
    )


def _send_all(mailings: Sequence[_Mailing]) -> None:
    """Send all mailings in parallel, and abandon those that exceed their time."""
    done: queue.SimpleQueue[_Mailing] = queue.SimpleQueue()
    waiting = list(reversed(mailings))
    running: dict[str, tuple[_Mailing, float]] = {}
    end = time.monotonic() + ALL_SECONDS
    while waiting or running:
        while waiting and len(running) < MOST_AT_ONCE:
            mailing = waiting.pop()
            running[mailing.recipient] = mailing, time.monotonic() + RECIPIENT_SECONDS
            _start(mailing, done)
        first = min(deadline for _, deadline in running.values())
        with contextlib.suppress(queue.Empty):
            running.pop(done.get(timeout=max(min(first, end) - time.monotonic(), 0)).recipient, None)
        now = time.monotonic()
        for recipient, (mailing, deadline) in list(running.items()):
            if now >= min(deadline, end):
                mailing.leave()
                del running[recipient]
        if now >= end:
            for mailing in waiting:
                mailing.leave()
            return


def _start(mailing: _Mailing, done: queue.SimpleQueue[_Mailing]) -> None:
    def work() -> None:
        mailing.send()
        done.put(mailing)

    # A daemon thread, so that a connection that hangs does not keep the process from exiting.
    threading.Thread(target=work, name=f"alerts-{mailing.recipient}", daemon=True).start()


@dataclass(kw_only=True)
class _Mailing:
    """Messages of a run to one recipient, sent by one thread."""

    recipient: str
    url: Secret
    messages: Sequence[Message]
    covered: dict[str, tuple[str, ...]]
    """By event id, the ids of all events that its message delivers."""
    left_over: int
    """Number of events for which there was no room in the run's messages."""
    land: Callable[[JournalEntry], str]
    now: Callable[[], datetime]
    run_id: str
    failures: list[str] = field(default_factory=list)
    is_unwritten: bool = False
    _sent: tuple[str, tuple[str, ...]] | None = None
    """Message in flight: the fetch id of its intent, and the event ids that it covers."""
    _is_left: bool = False

    def send(self) -> None:
        """Send the messages in order, recording an intent and an outcome for each."""
        try:
            self._send_each()
        except OSError as problem:
            self._fail_to_write(problem)
        except Exception as problem:
            # Nothing would report an exception of this thread, so it becomes a line.
            self.failures.append(f"the message through {self.recipient} failed with {type(problem).__name__}")

    def _fail_to_write(self, problem: OSError) -> None:
        self.is_unwritten = self._sent is None and not self._is_left
        self.failures.append(f"the journal cannot be written: {problem.strerror or problem}")

    def _send_each(self) -> None:
        failed_in_a_row = 0
        cut_off: set[str] = set()
        for message in self.messages:
            if cut_off & set(message.event_ids):
                # The rest of a paragraph makes no sense without its beginning.
                continue
            if not self._begin(message):
                return
            failures = self._try(message)
            if not self._end(message, failures):
                return
            is_failed = len(failures) >= TRIES
            failed_in_a_row = failed_in_a_row + 1 if is_failed else 0
            if is_failed:
                self.failures.append(failures[-1].problem)
                cut_off |= set(message.event_ids)
            if failed_in_a_row == MOST_FAILURES:
                return

    def _begin(self, message: Message) -> bool:
        """Land the intent; returns False if the time is over."""
        ids = message.event_ids
        if message.delivered_length is None:
            ids = tuple(dict.fromkeys(every for each in ids for every in self.covered[each]))
        with _journal:
            if self._is_left:
                return False
            self._sent = None
            intent = Intent(at=self.now(), recipient=self.recipient, event_ids=ids)
            self._sent = self.land(intent), ids
            return True

    def _try(self, message: Message) -> list[Failure]:
        failures: list[Failure] = []
        for wait in (*_WAITS[: TRIES - 1], None):
            failure = send(self.url, message.title, message.body, message.kind)
            if failure is None:
                break
            failures.append(failure)
            if wait is None or self._is_left:
                break
            time.sleep(wait)
        return failures

    def _end(self, message: Message, failures: Sequence[Failure]) -> bool:
        """Land the outcome; returns False if the time was over before."""
        is_delivered = len(failures) < TRIES
        earlier = failures if is_delivered else failures[:-1]
        with _journal:
            if self._is_left or self._sent is None:
                return False
            intent_id, ids = self._sent
            self.land(
                DeliveryOutcome(
                    at=self.now(),
                    recipient=self.recipient,
                    event_ids=ids,
                    intent_id=intent_id,
                    is_delivered=is_delivered,
                    attempt_count=len(failures) + is_delivered,
                    is_possibly_repeated=any(each.is_unknown for each in earlier),
                    is_unknown=not is_delivered and any(each.is_unknown for each in failures),
                    problem=None if is_delivered else failures[-1].problem,
                    delivered_length=message.delivered_length,
                    run_id=self.run_id,
                )
            )
            self._sent = None
            return True

    def leave(self) -> None:
        """Abandon the mailing: the message in flight may or may not arrive, and its result is no longer recorded."""
        problem = f"the message through {self.recipient} was not accepted within {RECIPIENT_SECONDS:.0f} s"
        with _journal:
            self._is_left = True
            self.failures.append(problem)
            if self._sent is not None:
                intent_id, ids = self._sent
                try:
                    self.land(
                        DeliveryOutcome(
                            at=self.now(),
                            recipient=self.recipient,
                            event_ids=ids,
                            intent_id=intent_id,
                            attempt_count=1,
                            is_unknown=True,
                            problem=problem,
                            run_id=self.run_id,
                        )
                    )
                except OSError as failure:
                    self._fail_to_write(failure)

    def problems(self) -> list[str]:
        """One line for each failure, and one for the events without room."""
        lines = [f"alerts: {each}; it is tried again" for each in dict.fromkeys(self.failures)]
        if self.left_over:
            lines.append(
                f"alerts: {count(self.left_over, 'change')} for {self.recipient} did not fit into "
                f"{len(self.messages)} messages; the next run sends more, and `drawdown alerts` lists them"
            )
        return lines


def send_without_journal(urls: dict[str, Secret], title: str, body: str) -> set[str]:
    """Send one message to recipients in parallel, within the same time limits, when no journal can be written.

    Returns the recipients that accepted it.
    """
    arrived: set[str] = set()

    def send_one(recipient: str, url: Secret) -> None:
        with contextlib.suppress(Exception):
            if send(url, title, body, "warning") is None:
                arrived.add(recipient)

    threads = [threading.Thread(target=send_one, args=each, daemon=True) for each in urls.items()]
    end = time.monotonic() + RECIPIENT_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return set(arrived)
