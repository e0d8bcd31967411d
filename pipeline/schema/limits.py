"""Numbers of days that judgements, forecasts and whoever shows them share.

marts.account_status and marts.forecast_accuracy have theirs once more, because they are SQL, and a test compares.
"""

from __future__ import annotations

from typing import Final

CRITICAL_DAYS: Final = 7
WARNING_DAYS: Final = 14
WATCH_DAYS: Final = 30
"""An account with at most this many days left has that severity."""

HORIZON_DAYS: Final = 90
"""How far forecasts look."""
TOTAL_HORIZONS: Final = (1, 7, 30, HORIZON_DAYS)
"""The numbers of days whose forecast totals are shown, and scored once the days have come."""

SUMMARY_DAYS: Final = 30
"""What moved a balance is summed up, and what is unexplained is shown, for so many days before a build."""
DUE_DAYS: Final = 7
"""An order is due if it has to be placed within so many days, today included."""
