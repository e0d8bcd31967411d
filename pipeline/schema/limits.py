"""Limits in days that judgements and forecasts share. marts.account_status repeats them, and a test compares them."""

from __future__ import annotations

from typing import Final

CRITICAL_DAYS: Final = 7
WARNING_DAYS: Final = 14
WATCH_DAYS: Final = 30
"""By severity: an account with at most this many days left has it."""

HORIZON_DAYS: Final = 90
"""Horizon of forecasts."""
