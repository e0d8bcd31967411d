"""Severities and their orders."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SEVERITIES: Final = ("ok", "watch", "warning", "critical", "unknown")
"""Least urgent first; `unknown` is separate, because nothing is known."""

URGENCY: Final = ("critical", "warning", "unknown", "watch", "ok")
"""Order in which accounts are shown: unknown accounts come before those that can wait."""

LEVELS: Final = ("watch", "warning", "critical")
"""Severities of alerts, least urgent first."""

SQL_URGENCY: Final = f"list_position({list(URGENCY)}, severity)"
"""SQL expression that sorts rows with a severity, the most urgent first."""

RUN_FAILED: Final = "run_failed"
"""The rule about runs, which concerns no account."""

BUDGET: Final = "budget"
"""The rule about months, of accounts, teams and the fleet."""
OLD_RATES: Final = "old_rates"
"""The rule about exchange rates, which concerns no single account."""

EVERY_ACCOUNT: Final = "*"
"""Used instead of an account's id for something that is not about one account."""

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
        BUDGET: "warning",
        OLD_RATES: "warning",
        RUN_FAILED: "warning",
    }
)
"""Every rule of alerts, with its default severity; `runway` has two, by the days left, and `budget` is one
level worse once the budget is spent."""
