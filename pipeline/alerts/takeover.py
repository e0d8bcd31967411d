"""What versions before the state machine had told, so that nobody hears it twice.

They landed each account's state as told under `landing/_drawdown/notifications`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from pipeline.alerts.journal import Transitions
from pipeline.alerts.state_machine import Event, Evidence, State
from pipeline.landing.own import ENVELOPE, read_own
from pipeline.landing.store import OWN, day_folders, each
from pipeline.settings.alert_policy import Policy

_NOTIFICATIONS: Final = "notifications"


class _Told(msgspec.Struct, frozen=True):
    is_critical: bool = False
    is_stale: bool = False


_DECODER: Final = msgspec.json.Decoder(dict[str, _Told])


def take_over(landing: Path, policy: Policy) -> Transitions | None:
    """The alerts that were open when an older version last told of them; None where it never did."""
    for folder in reversed(day_folders(landing, OWN, _NOTIFICATIONS)):
        columns = ["fetch_id", "fetched_at_utc", "body", *ENVELOPE]
        rows = [row for _, table in each(folder, columns) for row in table.to_pylist()]
        if rows:
            newest = max(rows, key=lambda row: str(row["fetch_id"]))
            told = read_own(newest, _DECODER.decode)
            pairs = list(_opened(told or {}, policy, newest["fetched_at_utc"]))
            return Transitions(
                at=newest["fetched_at_utc"],
                states=tuple(state for state, _ in pairs),
                events=tuple(event for _, event in pairs),
            )
    return None


def _opened(told: dict[str, _Told], policy: Policy, at: datetime) -> Iterator[tuple[State, Event]]:
    for account_id, known in sorted(told.items()):
        for rule, severity, is_open in (
            ("runway", "critical", known.is_critical),
            ("stale", policy.severity("stale"), known.is_stale),
        ):
            if is_open and severity is not None:
                state = State(
                    account_id=account_id,
                    rule=rule,
                    alert_state="open",
                    severity=severity,
                    worst_severity=severity,
                    since_at_utc=at,
                    event_count=1,
                )
                event = Event(
                    event_id=state.event_id,
                    account_id=account_id,
                    rule=rule,
                    event="opened",
                    severity=severity,
                    happened_at_utc=at,
                    message="Told by an earlier version.",
                    evidence=Evidence(unit_code="unknown"),
                    is_silent=True,
                )
                yield state, event
