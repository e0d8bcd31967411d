"""One message when an account turns critical or goes stale, through any channel that Apprise knows.

What was told is landed under `landing/_drawdown/notifications`, so that it is told once: a message goes out when an
account's state differs from the newest landed one. A message that could not be delivered is tried again by the next
run. After a crash between the sending and the landing it is sent a second time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pipeline.landing.store import OWN, day_folders, files, read
from pipeline.secret import Redactor, Secret

NOTIFICATIONS: Final = "notifications"
"""The place below `landing/_drawdown`."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What an account's people know."""

    is_critical: bool = False
    is_stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An account's row of marts.account_status, as far as a message needs it."""

    account_id: str
    severity: str
    reading_state: str
    reason: str


def newest_states(landing: Path) -> dict[str, State]:
    """The states that were last told, by account; empty before the first message."""
    for folder in reversed(day_folders(landing, OWN, NOTIFICATIONS)):
        rows = [row for path in files(folder) for row in read(path, ["fetch_id", "body"]).to_pylist()]
        if rows:
            newest = max(rows, key=lambda row: str(row["fetch_id"]))
            return msgspec.json.decode(newest["body"], type=dict[str, State])
    return {}


def next_states(known: Mapping[str, State], readings: Iterable[Reading]) -> dict[str, State]:
    """The states after these readings. While an account is stale, nothing new is known of its being critical."""
    states = {}
    for reading in readings:
        before = known.get(reading.account_id, State())
        is_stale = reading.reading_state == "stale"
        is_critical = before.is_critical if reading.reading_state != "fresh" else reading.severity == "critical"
        states[reading.account_id] = State(is_critical=is_critical, is_stale=is_stale)
    return states


def crossings(known: Mapping[str, State], states: Mapping[str, State], readings: Iterable[Reading]) -> list[Reading]:
    """The readings whose account has turned critical or gone stale."""
    found = []
    for reading in readings:
        before, after = known.get(reading.account_id, State()), states[reading.account_id]
        if (after.is_critical and not before.is_critical) or (after.is_stale and not before.is_stale):
            found.append(reading)
    return found


def words(crossed: list[Reading]) -> tuple[str, str]:
    """A message's title and body."""
    told = [f"{each.account_id} is {'stale' if each.reading_state == 'stale' else 'critical'}" for each in crossed]
    title = f"Drawdown: {told[0]}" if len(told) == 1 else f"Drawdown: {len(told)} accounts need you"
    return title, "\n".join(f"{line}: {each.reason}" for line, each in zip(told, crossed, strict=True))


def send(url: Secret, title: str, body: str) -> str | None:
    """Deliver a message; returns what went wrong in one sentence without the URL, or None."""
    import apprise

    channel = apprise.Apprise()
    if not channel.add(url.reveal()):
        return f"the URL in {url.name} is none that Apprise knows"
    heard: list[str] = []
    logger = logging.getLogger("apprise")
    handler = _Listener(heard)
    # Apprise says at WARNING why a delivery failed, and may name the URL: it is caught here and goes no further.
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        delivered = channel.notify(title=title, body=body)
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
    if delivered:
        return None
    why = Redactor([url]).text(heard[-1]) if heard else "no reason was given"
    return f"the message through {url.name} was not delivered: {why[:200]}"


class _Listener(logging.Handler):
    """Keeps what a logger says."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(record.getMessage())
