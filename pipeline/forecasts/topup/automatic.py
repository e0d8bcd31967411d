"""Runway of an account that its vendor tops up automatically.

The vendor's rule is assumed to work as stated: below the trigger the amount is paid in on the same day, at most once a
day, and the payment never fails. The runway without automatic top-ups shows what a declined card would mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from pipeline.forecasts.engine import Paths
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import InputError
from pipeline.forecasts.topup.money import amount_text, checked, from_float
from pipeline.schema.units import UNKNOWN_UNIT

_ROUNDING: Final = 1e-9
"""Relative rounding error of a sum of floats, which must not count as having passed a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A vendor's rule for automatic top-ups, in the account's unit. Raises InputError for amounts that are no money."""

    is_on: bool
    threshold_amount: Decimal | None = None
    """The balance is topped up when it falls below this. None where the vendor does not say."""
    topup_amount: Decimal | None = None
    """The amount paid in each time. None where the vendor does not say."""

    def __post_init__(self) -> None:
        for name in ("threshold_amount", "topup_amount"):
            value: Decimal | None = getattr(self, name)
            if value is not None:
                checked(value, name)

    @property
    def can_be_modelled(self) -> bool:
        """Whether top-ups are on, and stated completely enough to be followed on a path."""
        trigger, amount = self.threshold_amount, self.topup_amount
        return self.is_on and trigger is not None and amount is not None and amount > 0 and trigger >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoTopUps:
    """An account's paths with automatic top-ups. The numbers are None where `is_modelled` is false."""

    is_modelled: bool
    reason: str
    """Why it is not modelled, or what is assumed; for people."""
    depleted_probability: Floats | None = None
    """(days,): the share of paths that have been below 0 by the end of each day, never falling."""
    expected_count: Floats | None = None
    """(days,): the mean number of automatic top-ups up to the end of each day."""
    expected_amount: Decimal | None = None
    """The mean amount of all of them up to the last day, in the unit of the account."""


def simulate(
    paths: Paths, *, balance: Decimal, rule: Rule, unit_code: str = UNKNOWN_UNIT, scale: int = 2
) -> AutoTopUps:
    """Follow each path's balance day by day, topped up by the vendor's rule.

    `balance` is that of the end of `paths.as_of`; `unit_code` and `scale` are for the sentence. The day's spend comes
    first. If the balance is then below the trigger, one top-up is credited before the day ends. A path is depleted from
    the first day that still ends below 0. A top-up that is too small is followed by the next day's. Raises InputError
    for a balance that is no money, and for paths that are empty or not finite.
    """
    if not paths.amounts.size or not np.isfinite(paths.amounts).all():
        raise InputError(f"{paths.account_id}: the paths are empty, or hold NaN or infinities")
    checked(balance, f"{paths.account_id}: balance")
    trigger, amount = rule.threshold_amount, rule.topup_amount
    if not rule.is_on:
        return AutoTopUps(is_modelled=False, reason="Automatic top-ups are off.")
    if trigger is None or amount is None:
        unknown = " and ".join(name for name, value in (("trigger", trigger), ("amount", amount)) if value is None)
        return _not_modelled(f"the vendor does not state their {unknown}")
    if amount <= 0:
        return _not_modelled(f"an amount of {amount_text(amount, unit_code, scale)} has no effect")
    if trigger < 0:
        return _not_modelled(
            f"a trigger of {amount_text(trigger, unit_code, scale)} acts after the account has run dry"
        )

    depleted, counts = _follow(paths.amounts, float(balance), float(trigger), float(amount))
    reason = (
        f"Assumed as the vendor states it: below {amount_text(trigger, unit_code, scale)} it pays in "
        f"{amount_text(amount, unit_code, scale)} on the same day, at most once a day."
    )
    if balance < trigger:
        reason += " The balance is below that already, and nothing was paid in: check that it works."
    return AutoTopUps(
        is_modelled=True,
        reason=reason,
        depleted_probability=depleted,
        expected_count=counts,
        expected_amount=from_float(float(counts[-1]) * float(amount), "expected_amount"),
    )


def _not_modelled(why: str) -> AutoTopUps:
    return AutoTopUps(is_modelled=False, reason=f"Automatic top-ups are on and not modelled: {why}.")


def _follow(amounts: Floats, balance: float, trigger: float, amount: float) -> tuple[Floats, Floats]:
    """(days,) share of paths depleted by each day, and (days,) mean number of top-ups by then."""
    paths, days = amounts.shape
    # Sums and whole numbers of top-ups, and no running balance: rounding does not grow with the days.
    sums = np.cumsum(amounts, axis=1)
    noise = _ROUNDING * max(abs(balance), trigger, amount)
    paid = np.zeros(paths)
    dry = np.full(paths, balance < 0)
    shares, counts = np.empty(days), np.empty(days)
    for day in range(days):
        left = balance - sums[:, day]
        paid += left + paid * amount < trigger - noise
        dry |= left + paid * amount < -noise
        shares[day], counts[day] = dry.mean(), paid.mean()
    return shares, counts
