"""When a top-up has to be ordered, and how that is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta


def last_order_date(risk_passed_date: date, lead_days: int) -> date:
    """The last day on which an order arrives in time: the day before `risk_passed_date`, less the lead time."""
    return risk_passed_date - timedelta(days=1 + lead_days)


def when_to_order(last_date: date, today: date, spell: Callable[[date], str] = date.isoformat) -> str:
    """When to order, given the last day on which an order arrives in time: `by 2026-12-04`, or today, or now."""
    if today < last_date:
        return f"by {spell(last_date)}"
    if today == last_date:
        return f"today, {spell(last_date)}, the last day to order in time"
    return f"now: the last day to order in time was {spell(last_date)}"
