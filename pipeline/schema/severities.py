"""Severities, in the order of urgency."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SEVERITIES: Final = ("ok", "watch", "warning", "critical", "unknown")
"""Least urgent first; `unknown` stands apart, because nothing can be said."""

ALERT_RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "runway": "warning",
        "amount": "warning",
        "threshold": "warning",
        "stale": "warning",
        "unexplained": "warning",
        "anomaly": "watch",
        "drift": "watch",
    }
)
"""Every rule of alerts, and how severe it is unless the owner says otherwise; `runway` has two, by the days left."""
