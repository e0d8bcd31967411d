"""The alert about runs: it opens when a run fails and recovers with the next one that publishes a build.

A failed run keeps the last build in place, and may have failed because the warehouse or the disk is unusable. So this
module needs no warehouse, tries each step separately, and never hides the original failure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from pipeline.alerts.delivery import Delivered, deliver, send_without_journal, sole_deliverer
from pipeline.alerts.journal import DeliveryOutcome, JournalCopy, Ledger, RunTransitions, land
from pipeline.alerts.pending import address
from pipeline.alerts.state_machine import Event, Evidence, Key, RuleResult, State, opened, recovered
from pipeline.schema.severities import ALERT_RULES, EVERY_ACCOUNT, RUN_FAILED
from pipeline.settings import Settings
from pipeline.settings import load as load_settings
from pipeline.support.clock import Clock
from pipeline.support.errors import DrawdownError
from pipeline.support.home import Home
from pipeline.support.last_run import LastRun, after_failure, read_last_run, write_last_run
from pipeline.support.printable import printable
from pipeline.support.secret import Secret

_KEY: Final[Key] = (EVERY_ACCOUNT, RUN_FAILED)
_EVIDENCE: Final = Evidence(unit_code="unknown")
_MOST_LINES: Final = 5
"""Lines of the failure in a message."""
_LOCK_SECONDS: Final = 20.0
"""Long enough for another deliverer to finish; otherwise the next run reports this failure."""


def run_succeeded(ledger: Ledger, settings: Settings, home: Home, clock: Clock, run_id: str) -> None:
    """Record that a run has published a build; if earlier runs failed, land the recovery.

    The caller must be the sole deliverer, and sends what is landed. Raises OSError if the disk fails.
    """
    now = clock.now()
    before = read_last_run(home)
    state = ledger.states.get(_KEY)
    is_open = state is not None and state.is_open
    if is_open or (before is not None and not before.is_ok):
        if not is_open and before is not None and settings.alerts.severity(RUN_FAILED) is not None:
            # The earlier run failed while nothing could be landed.
            state, is_open = _open(settings, home, clock, run_id, state, before), True
        if is_open and state is not None:
            since = before.failed_since_utc if before is not None and before.failed_since_utc else state.since_at_utc
            over, event = recovered(state, f"Runs had failed since {since:%Y-%m-%d %H:%M} UTC.", _EVIDENCE, now)
            _land(settings, home, clock, run_id, over, event)
    write_last_run(home, LastRun(run_id=run_id, ended_at_utc=now, is_ok=True))


def run_failed(home: Home, clock: Clock, run_id: str, problems: Sequence[str]) -> list[str]:
    """Record that a run has failed, land its alert, and send it with everything else that is due.

    Never raises; returns one line for each step that failed. A run that was recorded already is ignored.
    """
    before = read_last_run(home)
    if before is not None and before.run_id == run_id:
        return []
    lines: list[str] = []
    ended = after_failure(before, run_id, clock.now(), tuple(problems))
    with _errors_as_lines(lines):
        write_last_run(home, ended)
    with _errors_as_lines(lines):
        _notify_recipients(load_settings(), home, clock, run_id, ended, lines)
    return lines


def _notify_recipients(
    settings: Settings, home: Home, clock: Clock, run_id: str, ended: LastRun, lines: list[str]
) -> None:
    done = Delivered(unwritten=list(settings.alert_recipients()[EVERY_ACCOUNT]))
    with _errors_as_lines(lines), sole_deliverer(home, wait_seconds=_LOCK_SECONDS) as is_sole:
        if not is_sole:
            lines.append("alerts: another process is sending messages; the next run will report this one")
            return
        done = _send_alert(settings, home, clock, run_id, ended)
    # Sent without the journal, because landing may be full, damaged or unreadable.
    lines += done.problems
    _send_untracked(settings, home, ended, done.unwritten)


@contextlib.contextmanager
def _errors_as_lines(lines: list[str]) -> Iterator[None]:
    """Turn exceptions of the block into lines, so that they do not hide the run's own failure."""
    try:
        yield
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        lines.append(f"alerts: {where}{problem.strerror or problem}")
    except DrawdownError as problem:
        lines.append(f"alerts: {problem}")
    except Exception as problem:
        lines.append(f"alerts: no message about the failed run could be sent: {type(problem).__name__}: {problem}")


def _send_alert(settings: Settings, home: Home, clock: Clock, run_id: str, ended: LastRun) -> Delivered:
    """Land the alert and send all due messages; recipients that it did not reach are returned as unwritten."""
    recipients = settings.alert_recipients()
    ledger = JournalCopy.of_nothing().ledger(home.landing)
    state = ledger.states.get(_KEY)
    if (state is None or not state.is_open) and settings.alerts.severity(RUN_FAILED) is not None:
        state = _open(settings, home, clock, run_id, state, ended)
        ledger = JournalCopy.of_nothing().ledger(home.landing)
    done = deliver(
        ledger, settings.alerts, recipients, settings.notify_url, home, clock, run_id, settings.vendor_titles()
    )
    unsent: list[str] = []
    if state is not None and state.alert_state == "open":
        for recipient in done.unwritten:
            made = ledger.deliveries.get((state.event_id, recipient))
            if recipient in recipients[EVERY_ACCOUNT] and (made is None or made.delivered_at is None):
                unsent.append(recipient)
    return Delivered(problems=done.problems, unwritten=unsent)


def _send_untracked(settings: Settings, home: Home, ended: LastRun, recipients: Sequence[str]) -> None:
    """Send the alert once to the remaining recipients; recorded in the last-run file, which needs no further space."""
    policy = settings.alerts
    severity = policy.severity(RUN_FAILED)
    unsent = [each for each in dict.fromkeys(recipients) if each not in ended.notified_recipients]
    if (
        severity is None
        or not unsent
        or not policy.is_sent(severity)
        or policy.is_postponed(severity, ended.ended_at_utc)
    ):
        return
    urls: dict[str, Secret] = {}
    for recipient in unsent:
        with contextlib.suppress(DrawdownError):
            urls[recipient] = settings.notify_url(recipient)
    body = f"{_words(ended)}\n\nWhere to look: drawdown status"
    arrived = send_without_journal(urls, "Drawdown: the last run failed", body)
    notified = tuple(dict.fromkeys((*ended.notified_recipients, *sorted(arrived))))
    write_last_run(home, msgspec.structs.replace(ended, notified_recipients=notified))


def _open(settings: Settings, home: Home, clock: Clock, run_id: str, before: State | None, ended: LastRun) -> State:
    """Land the opened alert and the deliveries made without the journal; returns the alert."""
    at = ended.failed_since_utc or ended.ended_at_utc
    severity = settings.alerts.severity(RUN_FAILED) or ALERT_RULES[RUN_FAILED]
    finding = RuleResult(
        account_id=EVERY_ACCOUNT,
        rule=RUN_FAILED,
        is_known=True,
        is_fresh=True,
        severity=severity,
        held_severity=severity,
        read_at=at,
        message=_words(ended),
        evidence=_EVIDENCE,
    )
    state, event = opened(before, finding, severity, at)
    _land(settings, home, clock, run_id, state, event)
    for recipient in ended.notified_recipients:
        outcome = DeliveryOutcome(
            at=at, recipient=recipient, event_ids=(event.event_id,), is_delivered=True, attempt_count=1, run_id=run_id
        )
        land(home, clock, run_id, outcome)
    return state


def _land(settings: Settings, home: Home, clock: Clock, run_id: str, state: State, event: Event) -> None:
    recipients = address(event, settings.alerts, settings.alert_recipients())
    addressed = msgspec.structs.replace(event, recipients=recipients)
    land(home, clock, run_id, RunTransitions(at=clock.now(), states=(state,), events=(addressed,)))


def _words(ended: LastRun) -> str:
    lines = tuple(map(printable, ended.problems[:_MOST_LINES]))
    more = len(ended.problems) - len(lines)
    why = "\n".join([*lines, *([f"and {more} lines more"] if more else [])])
    return f"Nothing new was published; readers keep the last build.\n{why}"
