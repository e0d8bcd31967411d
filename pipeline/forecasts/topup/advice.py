"""The top-up advice for one account: how much to order, and by when. It only advises; nothing here pays or orders."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Final

import numpy as np

from pipeline.forecasts.engine import Paths
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import InputError
from pipeline.forecasts.engine.passage import passed_by_day, room_above
from pipeline.forecasts.topup.money import amount_text, checked, from_float, rounded_up
from pipeline.schema.units import MONEY_PRECISION, MONEY_SCALE, UNKNOWN_UNIT
from pipeline.support.wording import chance, exact_percent

_DAY: Final = timedelta(days=1)

# strftime would use the machine's language.
_MONTHS: Final = "January February March April May June July August September October November December".split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of an account's top-ups. Raises InputError for values outside the ranges given here."""

    risk: float = 0.05
    """The probability of running dry that its owner accepts: above 0, below 1. One in twenty by default."""
    lead_days: int | Decimal
    """Days from an order to its credit, 0 or more. Fractions are rounded up, because paths have whole days."""
    cover_days: int = 30
    """Days from the credit to the next planned top-up, 1 or more. A month by default."""
    minimum_amount: Decimal | None = None
    """The smallest top-up that the vendor accepts, in the account's unit; None where there is no limit."""
    tax_rate: Decimal | None = None
    """VAT as a share of the net amount: 0.2 is 20 %. None where the price includes it, or it is unknown."""

    @property
    def whole_lead_days(self) -> int:
        """`lead_days`, rounded up."""
        return math.ceil(self.lead_days)

    def __post_init__(self) -> None:
        if not 0 < self.risk < 1:
            raise InputError(f"risk is {self.risk}; it must be above 0 and below 1")
        if not math.isfinite(self.lead_days) or self.lead_days < 0:
            raise InputError(f"lead_days is {self.lead_days}; it must be 0 or more")
        if self.cover_days < 1 or self.cover_days != int(self.cover_days):
            raise InputError(f"cover_days is {self.cover_days}; it must be a whole number, 1 or more")
        for name in ("minimum_amount", "tax_rate"):
            value: Decimal | None = getattr(self, name)
            if value is not None and checked(value, name) < 0:
                raise InputError(f"{name} is {value}; it must be 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpPlan:
    """One account's advice on one day, with every number behind it. Amounts are in `unit_code`."""

    account_id: str
    method: str
    history_days: int
    issue_date: date
    balance_date: date
    """The day at whose end the balance was `day_start_amount`; the paths begin the day after."""
    horizon_date: date
    """The last day of the paths."""
    unit_code: str
    topup_risk_probability: float
    """The accepted probability of running dry."""
    topup_lead_days: int
    topup_cover_days: int
    risk_passed_date: date | None
    """The first day by whose end the account has run dry with more than the accepted probability, if nothing is paid
    in. None if there is none up to `horizon_date`; then the next two are None too."""
    order_by_date: date | None
    """`risk_passed_date` less one day less `topup_lead_days`; `issue_date` if that is past."""
    arrival_date: date | None
    """`order_by_date` plus `topup_lead_days`."""
    cover_until_date: date
    """`arrival_date` plus `topup_cover_days`; `horizon_date` if that is earlier or nothing is to be ordered."""
    is_late: bool
    """It is too late for an order to arrive in time."""
    is_capped: bool
    """The paths end before `topup_cover_days` do: the amount covers fewer days than requested."""
    day_start_amount: Decimal
    spend_quantile_amount: Decimal
    """The smallest amount that covers all but the accepted share of paths: of each path, the most that it has spent by
    the end of any day after `balance_date` up to `cover_until_date`."""
    needed_amount: Decimal
    """`spend_quantile_amount` less `day_start_amount`, never below 0."""
    topup_minimum_amount: Decimal | None
    topup_amount: Decimal
    """The larger of `needed_amount` and `topup_minimum_amount`, rounded up to `decimals_count`; 0 where nothing is
    needed."""
    decimals_count: int
    tax_rate: Decimal | None
    topup_gross_amount: Decimal | None
    """`topup_amount` times 1 + `tax_rate`, rounded up to `decimals_count`. None without a tax rate."""
    unconfirmed_amount: Decimal | None
    """Deposits that are not credited yet: shown but not deducted, because they may not arrive."""
    with_topup_probability: float
    """The probability of running dry by the end of `cover_until_date` if `topup_amount` arrives on `arrival_date`. It
    includes running dry before that day, which no top-up can prevent."""
    without_topup_probability: float
    """The same if nothing is paid in."""
    topup_advice: str
    """The advice in one sentence."""


def plan(
    paths: Paths,
    *,
    balance: Decimal,
    terms: Terms,
    issue_date: date,
    pending_amount: Decimal | None = None,
    unit_code: str = UNKNOWN_UNIT,
    scale: int = 2,
) -> TopUpPlan:
    """Plan the next top-up of one account.

    - `paths`: `amounts` is (paths, days), finite spend in `unit_code`.
    - `balance`: in `unit_code` at the end of `paths.as_of`, without `pending_amount`; it may be negative.
    - `terms`: the accepted probability, the lead time, the days to cover, the minimum and the tax rate.
    - `issue_date`: the day of the advice, `paths.as_of` or later; a top-up ordered on it must arrive within the paths.
    - `pending_amount`: deposits not credited yet, 0 or more; only reported.
    - `scale`: decimals that a top-up can have: 2 for most currencies, 0 for whole credits.

    An account runs dry on the day at whose end its balance is below 0; a top-up must arrive the day before. Raises
    InputError, which names the account, for paths that are empty or not finite, for amounts that cannot be
    stored (`money.checked`), and for a lead time beyond the paths.
    """
    try:
        # A product of two stored amounts has more than Python's 28 digits.
        with localcontext(prec=2 * MONEY_PRECISION):
            return _plan(paths, balance, terms, issue_date, pending_amount, unit_code, scale)
    except InputError as error:
        raise InputError(f"{paths.account_id}: {error}") from None


def _plan(
    paths: Paths,
    balance: Decimal,
    terms: Terms,
    issue_date: date,
    pending: Decimal | None,
    unit_code: str,
    scale: int,
) -> TopUpPlan:
    if not paths.amounts.size or not np.isfinite(paths.amounts).all():
        raise InputError("the paths are empty, or hold NaN or infinities")
    if not 0 <= scale <= MONEY_SCALE:
        raise InputError(f"scale is {scale}; it must be 0 to {MONEY_SCALE}")
    balance = checked(balance, "balance")
    pending = None if pending is None else checked(pending, "pending_amount")
    if pending is not None and pending < 0:
        raise InputError(f"pending_amount is {pending}; deposits are 0 or more")
    lead = timedelta(days=terms.whole_lead_days)
    horizon_date = paths.as_of + paths.amounts.shape[1] * _DAY
    if issue_date < paths.as_of:
        raise InputError(f"issue_date is {issue_date}, before the balance of {paths.as_of}")
    if issue_date + lead > horizon_date:
        raise InputError(
            f"what is ordered on {issue_date} arrives {lead.days} days later; the paths end {horizon_date}"
        )

    sums = np.cumsum(paths.amounts, axis=1).T
    dry = passed_by_day(sums, float(balance))
    beyond = np.flatnonzero(dry > terms.risk)
    passed = paths.as_of + (int(beyond[0]) + 1) * _DAY if len(beyond) else None
    in_time = passed - _DAY - lead if passed else None
    order_by = max(in_time, issue_date) if in_time else None
    arrival = order_by + lead if order_by else None
    cover_until = min(arrival + terms.cover_days * _DAY, horizon_date) if arrival else horizon_date
    covered = (cover_until - paths.as_of).days

    spend = from_float(_quantile(sums[:covered], terms.risk), "spend")
    # Where no day passes the risk, the spend exceeds the balance only by rounding errors of floats: order nothing.
    spend = spend if order_by else min(spend, balance)
    needed = max(spend - balance, Decimal(0))
    net = rounded_up(max(needed, terms.minimum_amount or needed) if needed else needed, scale)
    found = TopUpPlan(
        account_id=paths.account_id,
        method=paths.method,
        history_days=paths.history_days,
        issue_date=issue_date,
        balance_date=paths.as_of,
        horizon_date=horizon_date,
        unit_code=unit_code,
        topup_risk_probability=terms.risk,
        topup_lead_days=lead.days,
        topup_cover_days=int(terms.cover_days),
        risk_passed_date=passed,
        order_by_date=order_by,
        arrival_date=arrival,
        cover_until_date=cover_until,
        is_late=order_by is not None and order_by != in_time,
        is_capped=arrival is not None and arrival + terms.cover_days * _DAY > horizon_date,
        day_start_amount=balance,
        spend_quantile_amount=spend,
        needed_amount=needed,
        topup_minimum_amount=terms.minimum_amount,
        topup_amount=net,
        decimals_count=scale,
        tax_rate=terms.tax_rate,
        topup_gross_amount=_gross(net, terms.tax_rate, scale),
        unconfirmed_amount=pending,
        with_topup_probability=_dry_with(
            sums[:covered], float(balance), float(net), arrives=(arrival - paths.as_of).days if arrival else covered
        ),
        without_topup_probability=float(dry[covered - 1]),
        topup_advice="",
    )
    return replace(found, topup_advice=_sentence(found))


def _quantile(sums: Floats, risk: float) -> float:
    """Return the smallest amount that covers the spend of all but a share `risk` of paths on every day.

    `sums` is (days, paths), cumulative spend; the result has the same unit.
    """
    largest = np.sort(np.maximum(sums.max(axis=0), 0.0))
    count = len(largest)
    # Counted, not interpolated: with an amount between two paths, more than the share could run dry. Paths that run dry
    # before the order arrives are not deducted from the share. An order on the last possible day would leave almost
    # none of it, and covering the last one or two paths costs several times as much.
    allowed = int(np.flatnonzero(np.arange(count) / count <= risk)[-1])
    return float(largest[count - 1 - allowed])


def _dry_with(sums: Floats, balance: float, net: float, *, arrives: int) -> float:
    """Return the share of paths that run dry if `net` is credited on the day `arrives`; 1 is the first of `sums`.

    `sums` is (days, paths), cumulative spend; all amounts are in the account's unit.
    """
    row = max(arrives - 1, 0)
    if arrives > 0 and room_above(balance) < 0:
        return 1.0
    before = (sums[:row] > room_above(balance)).any(axis=0)
    after = (sums[row:] > room_above(balance + net)).any(axis=0)
    return float((before | after).mean())


def _gross(net: Decimal, tax_rate: Decimal | None, scale: int) -> Decimal | None:
    return None if tax_rate is None else rounded_up(net * (1 + tax_rate), scale)


def _sentence(found: TopUpPlan) -> str:
    if found.arrival_date is None or found.order_by_date is None or found.risk_passed_date is None:
        first = _day(found, found.horizon_date - found.topup_lead_days * _DAY)
        until, dry = _day(found, found.horizon_date), chance(found.without_topup_probability)
        return (
            f"No top-up is needed before {first}: the chance of running dry by {until}, the end of the forecast, is "
            f"{dry}{_pending(found)}."
        )
    passes, arrives = _day(found, found.risk_passed_date), _day(found, found.arrival_date)
    until = _day(found, found.cover_until_date) + (", the end of the forecast," if found.is_capped else "")
    risk = exact_percent(found.topup_risk_probability)
    with_it, without_it = chance(found.with_topup_probability), chance(found.without_topup_probability)
    if not found.is_late:
        when, why = f"by {_day(found, found.order_by_date)}", f"the chance of running dry by {until} is then {with_it}"
        what_if = f"without the top-up it exceeds {risk} on {passes}"
    elif found.day_start_amount < 0:
        when, why = "today, which is late", f"the balance is below zero until the top-up arrives on {arrives}"
        lasts = exact_percent(1 - found.topup_risk_probability)
        what_if = f"the chance that the balance then lasts until {until} is {lasts} or more"
    else:
        when = "today, which is late"
        why = f"the chance of running dry exceeds {risk} on {passes}, and the top-up arrives on {arrives}"
        what_if = f"by {until} the chance is {with_it} with the top-up and {without_it} without it"
    return f"Order {_bought(found)} {when}: {why}; {what_if}{_pending(found)}."


def _bought(found: TopUpPlan) -> str:
    bought = _amount(found, found.topup_amount)
    if found.topup_gross_amount is not None:
        bought += f" ({amount_text(found.topup_gross_amount, UNKNOWN_UNIT, found.decimals_count)} with tax)"
    if found.topup_amount > rounded_up(found.needed_amount, found.decimals_count):
        bought += ", the smallest possible order,"
    return bought


def _pending(found: TopUpPlan) -> str:
    if not found.unconfirmed_amount:
        return ""
    pending = f"; a deposit of {_amount(found, found.unconfirmed_amount)} is pending and not included"
    if 0 < found.needed_amount <= found.unconfirmed_amount:
        pending += ", and would be enough once it is credited"
    return pending


def _amount(found: TopUpPlan, amount: Decimal) -> str:
    return amount_text(amount, found.unit_code, found.decimals_count)


def _day(found: TopUpPlan, day: date) -> str:
    """Return `3 December`, with the year if it differs from the advice's."""
    year = "" if day.year == found.issue_date.year else f" {day.year}"
    return f"{day.day} {_MONTHS[day.month - 1]}{year}"
