"""Runway of an account whose vendor sets its balance back to a full size at stated times: a quota.

The balance must only last until the next reset. After it, it starts again from its full size. Later resets follow in
the steps of the past ones, or if none has been seen, in calendar months.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.forecasts.engine import Paths
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.passage import room_above

_DAY: Final = timedelta(days=1)
_LEAST_PERIOD: Final = timedelta(hours=1)
_MONTH_DAYS: Final = (27.5, 31.5)
"""Days between resets that are a calendar month apart; a clock change may move them by an hour."""
_YEAR_DAYS: Final = (364.5, 366.5)
_LONGEST_PERIOD: Final = timedelta(days=3660)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """When an account's balance is set back, and to what."""

    resets_at_utc: datetime
    """The next reset."""
    quota_amount: Decimal
    """The full size, in the account's unit."""
    last_reset_at_utc: datetime | None = None
    """The reset before, if one has been seen."""

    def resets(self, until: datetime) -> Iterator[datetime]:
        """Yield the resets from the next one on that are before an instant."""
        period = None if self.last_reset_at_utc is None else self.resets_at_utc - self.last_reset_at_utc
        days = 30.0 if period is None else period / _DAY
        months = 1 if _in(days, _MONTH_DAYS) else 12 if _in(days, _YEAR_DAYS) else 0
        step = max(period or _LEAST_PERIOD, _LEAST_PERIOD)
        number, at = 0, self.resets_at_utc
        while at < until:
            yield at
            number += 1
            at = _months_later(self.resets_at_utc, number * months) if months else self.resets_at_utc + number * step

    def after(self, instant: datetime) -> Quota:
        """The quota with its first reset after an instant: a vendor may state a time that is past."""
        if self.resets_at_utc > instant:
            return self
        last = self.resets_at_utc
        for at in self.resets(instant + _LONGEST_PERIOD):
            if at > instant:
                return replace(self, resets_at_utc=at, last_reset_at_utc=last)
            last = at
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaRunway:
    """How an account's paths use up its quota. Arrays are (days,), from the day after `Paths.as_of`, never falling."""

    depleted_probability: Floats
    """The share of paths that have been below the threshold by the end of the day, in whatever period."""
    before_reset_probability: Floats
    """The same before the next reset; constant from its day on."""


def simulate(paths: Paths, *, balance: Decimal, quota: Quota, threshold: Decimal = Decimal(0)) -> QuotaRunway:
    """Follow each path's balance, which is the quota's full size after each reset.

    `balance` is that of the end of `paths.as_of`. A day's spend is spread evenly over the day, so a reset at noon has
    half of it on each side. As everywhere, a balance is below the threshold on the day at whose end it is, or here also
    at the reset within the day.
    """
    count, days = paths.amounts.shape
    first = paths.as_of + _DAY
    # (paths, days + 1): spend before each day.
    sums = np.concatenate([np.zeros((count, 1)), paths.sums().T], axis=1)
    places = [(0, 0.0), *(_place(at, first) for at in quota.resets(_midnight(first + days * _DAY))), (days, 0.0)]
    places = [(max(day, 0), share if day >= 0 else 0.0) for day, share in places]
    dry = np.zeros((count, days), dtype=bool)
    before = np.zeros((count, days), dtype=bool)
    for number, ((day, share), (next_day, next_share)) in enumerate(pairwise(places)):
        room = room_above(float(quota.quota_amount if number else balance), float(threshold))
        start = _spent_by(sums, paths.amounts, day, share)
        spent = np.zeros((count, days), dtype=bool)
        spent[:, day:next_day] = sums[:, day + 1 : next_day + 1] - start[:, None] > room
        if next_day < days:
            spent[:, next_day] = _spent_by(sums, paths.amounts, next_day, next_share) - start > room
        dry |= spent
        if number == 0:
            before = spent
    return QuotaRunway(depleted_probability=_by_day(dry), before_reset_probability=_by_day(before))


def before_reset(paths: Paths, quota: Quota) -> Paths | None:
    """The paths' days that end before the next reset; None if there is none."""
    days = _place(quota.resets_at_utc, paths.as_of + _DAY)[0]
    return replace(paths, amounts=paths.amounts[:, :days], charges=paths.charges[:days]) if days > 0 else None


def _by_day(below: NDArray[np.bool_]) -> Floats:
    shares: Floats = np.logical_or.accumulate(below, axis=1).mean(axis=0)
    return shares


def _spent_by(sums: Floats, amounts: Floats, day: int, share: float) -> Floats:
    """(paths,): spend up to a share of a day."""
    return sums[:, day] + (share * amounts[:, day] if share else 0.0)


def _place(at: datetime, first: date) -> tuple[int, float]:
    """The number of a reset's day from `first` on, and the share of the day that is over."""
    moment = at.astimezone(UTC)
    return (moment.date() - first).days, (moment - _midnight(moment.date())) / _DAY


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _months_later(at: datetime, months: int) -> datetime:
    """The same day of a later month; the month's last day if it is shorter."""
    moment = at.astimezone(UTC)
    number = moment.year * 12 + moment.month - 1 + months
    year, month = number // 12, number % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))


def _in(days: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= days <= bounds[1]
