"""Rows to plot, and functions to read a plot back."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

from pipeline.forecasts.account_forecasts import LEVELS

ISSUED = date(2026, 10, 7)
MIDNIGHT = datetime(2026, 10, 7, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def history(days: int = 60, level: float = 100.0, step: float = 1.0) -> list[dict[str, Any]]:
    """Readings at noon, falling by `step` a day to `level` on the day of issue."""
    return [
        {"observed_at_utc": MIDNIGHT + timedelta(days=-back, hours=12), "balance_amount": level + back * step}
        for back in range(days - 1, -1, -1)
    ]


def ahead(days: int = 90, daily: float = 1.0) -> list[dict[str, Any]]:
    """Quantiles of cost that widen with the days: p50 is `daily` a day."""
    spread = dict(zip(LEVELS, (0.4, 0.6, 0.8, 1.0, 1.3, 1.7, 2.0), strict=True))
    return [
        {"horizon_days": day, **{f"p{level}_amount": daily * day * times for level, times in spread.items()}}
        for day in range(1, days + 1)
    ]


def chances(days: int = 90) -> list[dict[str, Any]]:
    return [
        {
            "horizon_days": day,
            "depleted_probability": min(1.0, day / 60) ** 2,
            "below_threshold_probability": min(1.0, day / 45) ** 2,
        }
        for day in range(1, days + 1)
    ]


def read(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - made a line above


def number(text: str) -> float:
    text = text.replace("\N{MINUS SIGN}", "-").replace(",", "").removesuffix(" %")
    for suffix, factor in (("tn", 1e12), ("bn", 1e9), ("M", 1e6), ("k", 1e3)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)
