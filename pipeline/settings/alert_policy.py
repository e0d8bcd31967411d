"""Alert settings: the table `[alerts]` of accounts.toml."""

from __future__ import annotations

import re
from datetime import datetime, time
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.schema.severities import ALERT_RULES, LEVELS
from pipeline.settings.table import Requirement, SettingsTable, mistake, shown_key
from pipeline.settings.values import Flag, Share, fits, one_of
from pipeline.support.errors import unknown

OFF: Final = "off"
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


def rank(severity: str | None) -> int:
    """Severity as a number that grows with urgency; 0 for None."""
    return 0 if severity is None else LEVELS.index(severity) + 1


def _hours(value: Any) -> Any:
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    begin_hour, begin_minute, end_hour, end_minute = map(int, found.groups())
    return time(begin_hour, begin_minute), time(end_hour, end_minute)


def _differ(hours: tuple[time, time]) -> tuple[time, time]:
    if hours[0] == hours[1]:
        raise ValueError
    return hours


def _timezone(value: Any) -> str:
    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, TypeError, OSError):
        raise mistake("must be the name of a time zone that this machine knows, such as Europe/Berlin") from None


def _rule(value: str) -> str:
    if value not in ALERT_RULES:
        raise mistake(f"{shown_key(value)}: {unknown('rule')}; known rules: {', '.join(ALERT_RULES)}")
    return value


Level = Annotated[str, one_of(*LEVELS)]
Hours = Annotated[
    tuple[time, time],
    AfterValidator(_differ),
    BeforeValidator(_hours),
    Requirement('must be two different times of day in quotes, such as "22:00-07:00"'),
]
Severities = Annotated[
    dict[Annotated[str, AfterValidator(_rule)], Annotated[str, one_of(*LEVELS, OFF)]],
    Requirement('must be a table of severities by rule, such as { stale = "critical", anomaly = "off" }'),
]


_WEB = re.compile(r"https?://[^\s/?#]+\S{0,300}")
ReportUrl = Annotated[
    str, fits(_WEB.fullmatch), Requirement('must be an address in quotes, such as "https://reports.example.com/"')
]


class Policy(SettingsTable):
    """Which alerts exist, how severe they are, and when they are sent."""

    must_be: ClassVar[str] = "must be a table: [alerts]"

    lowest_severity: Level = "warning"
    """Milder alerts are recorded, but not sent."""
    quiet_hours: Hours | None = None
    """Start and end by the clock of `timezone`; over midnight if the start is later."""
    timezone: Annotated[str, BeforeValidator(_timezone)] = "UTC"
    """IANA name, such as Europe/Berlin."""
    critical_waits: Flag = False
    """Whether quiet hours also hold back critical alerts."""
    budget_probability: Share = Decimal("0.5")
    """The chance of exceeding a budget from which the rule `budget` applies."""
    report_url: ReportUrl | None = None
    """Address of the report that messages show instead of its path on this machine."""
    severities: Severities = Field(default={})
    """By rule, differences from ALERT_RULES: one of LEVELS, or `off`."""

    def severity(self, rule: str) -> str | None:
        """Severity of a rule's alerts; None if it is off."""
        found = self.severities.get(rule, ALERT_RULES[rule])
        return None if found == OFF else found

    def is_sent(self, severity: str) -> bool:
        """Whether alerts of this severity are sent."""
        return rank(severity) >= rank(self.lowest_severity)

    def is_postponed(self, severity: str, now: datetime) -> bool:
        """Whether an alert of this severity is held back at this time."""
        if self.quiet_hours is None or (severity == "critical" and not self.critical_waits):
            return False
        begin, end = self.quiet_hours
        local = now.astimezone(ZoneInfo(self.timezone)).time()
        return begin <= local < end if begin < end else local >= begin or local < end
