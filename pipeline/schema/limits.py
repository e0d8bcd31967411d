"""Numbers of days that judgements and forecasts share. marts.account_status has them once more, and a test compares."""

from __future__ import annotations

from typing import Final

CRITICAL_DAYS: Final = 7
WARNING_DAYS: Final = 14
WATCH_DAYS: Final = 30
"""An account with at most this many days left has that severity."""

HORIZON_DAYS: Final = 90
"""How far forecasts look."""
