"""Limits in days that judgements, forecasts and reports share.

marts.account_status and marts.forecast_accuracy repeat theirs in SQL, and a test compares them.
"""

from __future__ import annotations

from typing import Final

CRITICAL_DAYS: Final = 7
WARNING_DAYS: Final = 14
WATCH_DAYS: Final = 30
"""By severity: an account with at most this many days left has it."""

HORIZON_DAYS: Final = 90
"""Horizon of forecasts."""
TOTAL_HORIZONS: Final = (1, 7, 30, HORIZON_DAYS)
"""Horizons whose forecast totals are shown, and scored once they are over."""

SUMMARY_DAYS: Final = 30
"""Days before a build for which balance changes are summed up and unexplained amounts shown."""
DUE_DAYS: Final = 7
"""An order is due if it has to be placed within this many days, today included."""

CURRENT_RATE_DAYS: Final = 7
"""A rate of at most this many days before an amount is used without a mark: a weekend and the ECB's holidays."""
