"""Clock of a run: the real time, or one fixed instant."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime

_LONG_FRACTION = re.compile(r"[.,][0-9]{6}[^Z+-]")


@dataclass(frozen=True, slots=True)
class Clock:
    """The run's clock. With `as_of` it returns that instant for the complete run."""

    as_of: datetime | None = None

    def now(self) -> datetime:
        """The instant, in UTC."""
        return self.as_of or datetime.now(UTC)

    def today(self) -> date:
        """The UTC day."""
        return self.now().date()


def parse_instant(text: str) -> datetime:
    """Parse an ISO 8601 instant with `Z` or an offset, or a day (its midnight in UTC).

    Raises ValueError with a message for the command line for anything else.
    """
    try:
        if _LONG_FRACTION.search(text):
            # Python 3.11 reads anything at all after the sixth decimal of a second.
            raise ValueError(text)
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an instant; write it as 2026-11-21T05:00:00Z") from None
    if instant.tzinfo is None:
        if len(text) != len("2026-11-21"):
            raise ValueError(f"{text!r} names no time zone; write it as {text}Z for UTC")
        return instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC)


def parse_day(text: str) -> date:
    """Parse a UTC day, `YYYY-MM-DD`; raises ValueError with a message for the command line."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a day; write it as 2026-11-21") from None


class FetchIds:
    """Ids of fetches, which sort by the real time at which they were drawn, whatever the run's clock says."""

    def __init__(self) -> None:
        self._last = 0

    def draw(self) -> str:
        """Next id: 16 hexadecimal digits of real nanoseconds, never repeated by one object."""
        self._last = max(self._last + 1, time.time_ns())
        return f"{self._last:016x}"
