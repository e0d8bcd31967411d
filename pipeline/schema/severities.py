"""Severities and their orders."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SEVERITIES: Final = ("ok", "watch", "warning", "critical", "unknown")
"""Least urgent first; `unknown` is apart, because nothing is known."""

URGENCY: Final = ("critical", "warning", "unknown", "watch", "ok")
"""The order in which people are shown accounts: what nobody can judge comes before what can wait."""

LEVELS: Final = ("watch", "warning", "critical")
"""Those that an alert can have, least urgent first."""

SQL_URGENCY: Final = f"list_position({list(URGENCY)}, severity)"
"""What rows with a severity are ordered by in SQL, the most urgent first."""

RUN_FAILED: Final = "run_failed"
"""The rule that is about runs, and not about an account."""

EVERY_ACCOUNT: Final = "*"
"""Used in place of an account's id where something is not about one account."""

ALERT_RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "runway": "warning",
        "amount": "warning",
        "threshold": "warning",
        "stale": "warning",
        "unexplained": "warning",
        "anomaly": "watch",
        "drift": "watch",
        "unit": "warning",
        "quarantine": "warning",
        RUN_FAILED: "warning",
    }
)
"""Every rule of alerts, and how severe it is unless the owner says otherwise; `runway` has two, by the days left."""
