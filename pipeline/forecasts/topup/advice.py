"""The top-up advice for one account: how much to order, and by when. It only advises; nothing here pays or orders."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Final

import numpy as np

from pipeline.forecasts.engine import Paths
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.engine.histories import InputError
from pipeline.forecasts.engine.passage import passed_by_day, room_above
from pipeline.forecasts.topup.money import checked, from_float, rounded_up
from pipeline.forecasts.topup.sentence import advice
from pipeline.forecasts.topup.topup_plan import Terms, TopUpPlan
from pipeline.schema.units import MONEY_PRECISION, MONEY_SCALE, UNKNOWN_UNIT
from pipeline.support.order_dates import last_order_date

_DAY: Final = timedelta(days=1)


def plan(
    paths: Paths,
    *,
    balance: Decimal,
    terms: Terms,
    issue_date: date,
    today: date | None = None,
    pending_amount: Decimal | None = None,
    unit_code: str = UNKNOWN_UNIT,
    scale: int = 2,
) -> TopUpPlan:
    """Plan the next top-up of one account.

    - `paths`: `amounts` is (paths, days), finite spend in `unit_code`.
    - `balance`: in `unit_code` at the end of `paths.as_of`, without `pending_amount`; it may be negative.
    - `terms`: the accepted probability, the lead time, the days to cover, the minimum, the tax rate, and how to order.
    - `issue_date`: the day of the advice, `paths.as_of` or later; a top-up ordered on it must arrive within the paths.
    - `today`: the day for which `topup_advice` is worded, `issue_date` or later; `issue_date` by default.
    - `pending_amount`: deposits not credited yet, 0 or more; only reported.
    - `scale`: decimals that a top-up can have: 2 for most currencies, 0 for whole credits.

    An account runs dry on the day at whose end its balance is below 0; a top-up must arrive the day before. Raises
    InputError, which names the account, for paths that are empty or not finite, for amounts that cannot be
    stored (`money.checked`), and for a lead time beyond the paths.
    """
    try:
        # A product of two stored amounts has more than Python's 28 digits.
        with localcontext(prec=2 * MONEY_PRECISION):
            found = _plan(paths, balance, terms, issue_date, pending_amount, unit_code, scale)
            return replace(found, topup_advice=advice(found, today or issue_date))
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

    sums = paths.sums()
    dry = passed_by_day(sums, float(balance))
    beyond = np.flatnonzero(dry > terms.risk)
    passed = paths.as_of + (int(beyond[0]) + 1) * _DAY if len(beyond) else None
    in_time = last_order_date(passed, lead.days) if passed else None
    order_by = max(in_time, issue_date) if in_time else None
    arrival = order_by + lead if order_by else None
    cover_until = min(arrival + terms.cover_days * _DAY, horizon_date) if arrival else horizon_date
    covered = (cover_until - paths.as_of).days

    spend = from_float(_quantile(sums[:covered], terms.risk), "spend")
    # Where no day passes the risk, the spend exceeds the balance only by rounding errors of floats: order nothing.
    spend = spend if order_by else min(spend, balance)
    needed = max(spend - balance, Decimal(0))
    net = rounded_up(max(needed, terms.minimum_amount or needed) if needed else needed, scale)
    return TopUpPlan(
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
        price_amount=terms.price_amount,
        price_unit_code=terms.price_unit_code,
        billing_url=terms.billing_url,
        ends_at_reset=terms.ends_at_reset,
        unconfirmed_amount=pending,
        with_topup_probability=_dry_with(
            sums[:covered], float(balance), float(net), arrives=(arrival - paths.as_of).days if arrival else covered
        ),
        without_topup_probability=float(dry[covered - 1]),
        topup_advice="",
    )


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
