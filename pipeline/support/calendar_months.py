"""Months of the calendar, given by their first days."""

from __future__ import annotations

from datetime import date


def next_month(month: date) -> date:
    """First day of the month after that of a day."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
