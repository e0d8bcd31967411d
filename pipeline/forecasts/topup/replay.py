"""Backtests of top-up policies: past spend, replayed day by day.

All policies see the same spend, up to yesterday only, and the same lead time. None orders while an order is pending.
Spend continues when the balance is below zero: it is unknown what an empty account would not have spent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Final

import numpy as np
import polars as pl

from pipeline.forecasts.engine import Paths, iterate_paths
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import InputError
from pipeline.forecasts.topup.advice import plan
from pipeline.forecasts.topup.money import checked, from_float, rounded_up
from pipeline.forecasts.topup.topup_plan import Terms, TopUpPlan
from pipeline.schema.limits import HORIZON_DAYS
from pipeline.schema.units import MONEY_PRECISION, MONEY_SCALE

_MEAN_DAYS: Final = 28
"""Days of the mean from which people set a threshold by hand: four weeks, so that each weekday counts equally."""

REPLAN_DAYS: Final = 7
"""Days after which a plan is renewed: each plan costs a forecast, and a replay of a year would need 365 of them."""

FACTORS: Final = (1.0, 1.5, 2.0, 3.0)
"""Safety factors on the mean spend of the lead time. Several, because a single one could be chosen to lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Morning:
    """What is known when the policy decides whether to order. No order is pending."""

    today: date
    days: Floats
    """(n,): spend up to yesterday."""
    balance: Decimal
    """At the end of yesterday."""


Policy = Callable[[Morning], Decimal]
"""Returns the amount to order this morning, 0 for none. It may keep state: make a new one for each replay."""

Forecaster = Callable[[Floats, date], Paths]
"""Returns sample paths from (n,) days of spend, of which the last is the given date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The result of one policy. Tuples hold one amount a replayed day, in the account's unit."""

    name: str
    first_date: date
    lead_days: int
    opening_amount: Decimal
    spend: tuple[Decimal, ...]
    orders: tuple[Decimal, ...]
    """On the day of the order."""
    arrivals: tuple[Decimal, ...]
    """On the day of the credit, `lead_days` later; without orders that would arrive after the last day."""
    balances: tuple[Decimal, ...]
    """At the end of the day."""

    @property
    def stock_out_days(self) -> int:
        """Return the number of days that end below zero."""
        return sum(balance < 0 for balance in self.balances)

    @property
    def order_count(self) -> int:
        """Return the number of orders."""
        return sum(amount > 0 for amount in self.orders)

    @property
    def idle_amount(self) -> Decimal:
        """Return the mean balance at the end of a day, where balances below zero count as zero."""
        with localcontext(prec=2 * MONEY_PRECISION):
            mean = sum((max(balance, Decimal(0)) for balance in self.balances), Decimal(0)) / len(self.balances)
            return mean.quantize(Decimal(1).scaleb(-MONEY_SCALE))

    @property
    def idle_ratio(self) -> float | None:
        """Return `idle_amount` divided by the mean spend of 30 days; None where nothing was spent."""
        month = 30 * float(sum(self.spend)) / len(self.spend)
        return float(self.idle_amount) / month if month > 0 else None


def replay(
    spend: Floats, *, first_date: date, start: int, opening: Decimal, lead_days: int, policy: Policy, name: str
) -> Replay:
    """Replay the days from `start` on with a policy.

    `spend` is (days,) of money, every day known, the first on `first_date`; the days before `start` are history only.
    `opening` is the balance at the end of the day before `start`. What is ordered in the morning of a day is credited
    before the end of the day `lead_days` later. Raises InputError for days that are not known, a start without
    history or without a day to replay, a negative lead time, and a policy that orders less than nothing.
    """
    if spend.ndim != 1 or not np.isfinite(spend).all():
        raise InputError(f"spend of shape {spend.shape} must be one row of days, all of them known")
    if not 1 <= start < len(spend):
        raise InputError(f"start is {start}; it must leave history and a day to replay of {len(spend)}")
    if lead_days < 0:
        raise InputError(f"lead_days is {lead_days}; it must be 0 or more")
    amounts = [_exact(float(day)) for day in spend[start:]]
    orders, arrivals, balances = ([Decimal(0)] * len(amounts) for _ in range(3))
    balance, free_from = checked(opening, "opening"), 0
    for day, amount in enumerate(amounts):
        if day >= free_from:
            today = first_date + timedelta(days=start + day)
            ordered = checked(policy(Morning(today=today, days=spend[: start + day], balance=balance)), "order")
            if ordered < 0:
                raise InputError(f"{name} orders {ordered} on {today}")
            orders[day] = ordered
            if ordered:
                free_from = day + lead_days + 1
                if day + lead_days < len(amounts):
                    arrivals[day + lead_days] = ordered
        with localcontext(prec=2 * MONEY_PRECISION):
            balance = balance - amount + arrivals[day]
        balances[day] = balance
    return Replay(
        name=name,
        first_date=first_date + timedelta(days=start),
        lead_days=lead_days,
        opening_amount=opening,
        spend=tuple(amounts),
        orders=tuple(orders),
        arrivals=tuple(arrivals),
        balances=tuple(balances),
    )


def planned(terms: Terms, forecaster: Forecaster, *, replan_days: int = REPLAN_DAYS, scale: int = 2) -> Policy:
    """Return the policy that follows Drawdown's advice exactly: its amount, on the last day that it names.

    The plan is renewed every `replan_days` days and after each order; in between it does not change. 1 is what a reader
    of the daily advice would do.
    """
    if replan_days < 1:
        raise InputError(f"replan_days is {replan_days}; it must be 1 or more")
    kept: TopUpPlan | None = None

    def decide(morning: Morning) -> Decimal:
        nonlocal kept
        if kept is None or (morning.today - kept.issue_date).days >= replan_days:
            paths = forecaster(morning.days, morning.today - timedelta(days=1))
            kept = plan(paths, balance=morning.balance, terms=terms, issue_date=morning.today, scale=scale)
        if kept.order_by_date is None or kept.order_by_date > morning.today:
            return Decimal(0)
        amount, kept = kept.topup_amount, None
        return amount

    return decide


def threshold(terms: Terms, *, factor: float, is_rolling: bool, scale: int = 2) -> Policy:
    """Return the policy that people follow by hand: below a threshold, pay in a fixed amount.

    The threshold is the mean spend of 28 days over the lead time and the day of the order, times `factor`; the amount
    is `cover_days` times the mean, at least the vendor's minimum. Both are set once from the days before the replay,
    or every morning if `is_rolling`.
    """
    first: float | None = None

    def decide(morning: Morning) -> Decimal:
        nonlocal first
        mean = max(float(morning.days[-_MEAN_DAYS:].mean()), 0.0)
        first = mean if first is None else first
        daily = mean if is_rolling else first
        if float(morning.balance) >= (float(terms.lead_days) + 1) * daily * factor:
            return Decimal(0)
        amount = from_float(terms.cover_days * daily, "amount")
        return rounded_up(max(amount, terms.minimum_amount or amount), scale)

    return decide


def by_engine(*, horizon_days: int = HORIZON_DAYS, paths: int = 500, seed: int = 0) -> Forecaster:
    """Return Drawdown's own forecaster for one account alone: a replay has no others to learn from."""

    def draw(days: Floats, as_of: date) -> Paths:
        dates = [as_of - timedelta(days=back) for back in range(len(days) - 1, -1, -1)]
        frame = pl.DataFrame({"account_id": ["replayed"] * len(days), "date": dates, "spend_amount": days})
        (drawn,) = iterate_paths(frame, as_of, horizon_days, paths=paths, seed=seed)
        return drawn

    return draw


def compare(
    spend: Floats,
    *,
    first_date: date,
    start: int,
    terms: Terms,
    forecaster: Forecaster | None = None,
    factors: Iterable[float] = FACTORS,
    replan_days: int = REPLAN_DAYS,
) -> list[Replay]:
    """Replay Drawdown's plan, then the threshold policy, set once and rolling, at each factor.

    All begin with `cover_days` of the 28-day mean before `start`. The arguments are those of `replay` and `planned`;
    the lead time is that of the terms, a part of a day counted whole.
    """
    if not 1 <= start < len(spend):
        raise InputError(f"start is {start}; it must leave history and a day to replay of {len(spend)}")
    whole = replace(terms, lead_days=math.ceil(terms.lead_days))
    opening = rounded_up(from_float(whole.cover_days * float(spend[:start][-_MEAN_DAYS:].mean()), "opening"), 2)
    policies = [("plan", planned(whole, forecaster or by_engine(), replan_days=replan_days))]
    for factor in factors:
        policies += [
            (f"threshold x {factor:g}, set once", threshold(whole, factor=factor, is_rolling=False)),
            (f"threshold x {factor:g}, rolling", threshold(whole, factor=factor, is_rolling=True)),
        ]
    return [
        replay(
            spend,
            first_date=first_date,
            start=start,
            opening=opening,
            lead_days=int(whole.lead_days),
            policy=policy,
            name=name,
        )
        for name, policy in policies
    ]


def table(replays: Sequence[Replay]) -> pl.DataFrame:
    """Return policy, stock_out_days, order_count, idle_amount, idle_ratio: one row a replay."""
    return pl.DataFrame(
        {
            "policy": [each.name for each in replays],
            "stock_out_days": [each.stock_out_days for each in replays],
            "order_count": [each.order_count for each in replays],
            "idle_amount": pl.Series([each.idle_amount for each in replays], dtype=pl.Decimal(38, MONEY_SCALE)),
            "idle_ratio": pl.Series([each.idle_ratio for each in replays], dtype=pl.Float64),
        }
    )


def _exact(amount: float) -> Decimal:
    """Return a float of the history as money, rounded to nine decimals: it was money before it was a float."""
    return checked(Decimal(f"{amount:.{MONEY_SCALE}f}"), "spend")
