"""What the owner wants of alerts: the table `[alerts]` of accounts.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any, Final
from zoneinfo import ZoneInfo

from pipeline.schema.severities import ALERT_RULES, LEVELS
from pipeline.support.errors import unknown

OFF: Final = "off"
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


def rank(severity: str | None) -> int:
    """A severity as a number that grows with urgency; 0 for none."""
    return 0 if severity is None else LEVELS.index(severity) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which alerts there are, how severe they are, and when they are told."""

    lowest_severity: str = "warning"
    """What is milder is recorded and told to nobody."""
    quiet_hours: tuple[time, time] | None = None
    """From and to, by the clock of `timezone`; over midnight where the first is the later."""
    timezone: str = "UTC"
    """An IANA name, such as Europe/Berlin."""
    critical_waits: bool = False
    """Quiet hours hold back critical alerts, too."""
    severities: Mapping[str, str] = field(default_factory=dict)
    """By rule, where they differ from ALERT_RULES: one of LEVELS, or `off`."""

    def severity(self, rule: str) -> str | None:
        """How severe a rule's alerts are; None where it is off."""
        found = self.severities.get(rule, ALERT_RULES[rule])
        return None if found == OFF else found

    def is_told(self, severity: str) -> bool:
        """Somebody is told of alerts of this severity."""
        return rank(severity) >= rank(self.lowest_severity)

    def is_held(self, severity: str, now: datetime) -> bool:
        """It is not the time to tell somebody of an alert of this severity."""
        if self.quiet_hours is None or (severity == "critical" and not self.critical_waits):
            return False
        begin, end = self.quiet_hours
        local = now.astimezone(ZoneInfo(self.timezone)).time()
        return begin <= local < end if begin < end else local >= begin or local < end


def read_policy(table: Any) -> Policy:
    """Read the table `[alerts]`; raises ValueError, `key: what is wrong`, for a mistake in it."""
    if not isinstance(table, dict):
        raise ValueError("must be a table: [alerts]")
    for key in sorted(table.keys() - _READERS.keys()):
        shown = key if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) else ascii(key[:40])
        raise ValueError(f"{shown}: {unknown('key')}; known are {', '.join(_READERS)}")
    values = {}
    for key, value in table.items():
        try:
            values[key] = _READERS[key](value)
        except ValueError as problem:
            raise ValueError(f"{key}: {problem}") from None
    return Policy(**values)


def _level(value: Any) -> str:
    if value not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}")
    return str(value)


def _hours(value: Any) -> tuple[time, time]:
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found is None or found.groups()[:2] == found.groups()[2:]:
        raise ValueError('must be two different times of day in quotes, such as "22:00-07:00"')
    begin_hour, begin_minute, end_hour, end_minute = map(int, found.groups())
    return time(begin_hour, begin_minute), time(end_hour, end_minute)


def _timezone(value: Any) -> str:
    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, TypeError, OSError):
        raise ValueError("must be the name of a time zone that this machine knows, such as Europe/Berlin") from None


def _is(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _severities(value: Any) -> dict[str, str]:
    known = (*LEVELS, OFF)
    if not isinstance(value, dict):
        raise ValueError('must be a table of severities by rule, such as { stale = "critical", anomaly = "off" }')
    for rule, severity in value.items():
        if rule not in ALERT_RULES:
            shown = rule if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", rule) else ascii(rule[:40])
            raise ValueError(f"{shown}: {unknown('rule')}; known are {', '.join(ALERT_RULES)}")
        if severity not in known:
            raise ValueError(f"{rule}: must be one of {', '.join(known)}")
    return dict(value)


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "lowest_severity": _level,
    "quiet_hours": _hours,
    "timezone": _timezone,
    "critical_waits": _is,
    "severities": _severities,
}
