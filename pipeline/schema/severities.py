"""Severities, in the order of urgency."""

from __future__ import annotations

from typing import Final

SEVERITIES: Final = ("ok", "watch", "warning", "critical", "unknown")
"""Least urgent first; `unknown` stands apart, because nothing can be said."""
