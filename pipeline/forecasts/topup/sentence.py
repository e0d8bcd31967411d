"""The words of a top-up advice: what to order, when, why, and where."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from pipeline.forecasts.topup.money import amount_text, rounded_up
from pipeline.forecasts.topup.topup_plan import TopUpPlan
from pipeline.schema.units import UNKNOWN_UNIT
from pipeline.support.order_dates import when_to_order
from pipeline.support.wording import amount as money_text
from pipeline.support.wording import chance, exact_percent

# strftime would use the machine's language.
_MONTHS: Final = "January February March April May June July August September October November December".split()


def advice(found: TopUpPlan, today: date) -> str:
    """The advice as it reads on a day, `issue_date` or later: `Order 300.00 EUR by 4 December: ...`."""
    if found.last_order_date is None:
        return _none_needed(found, today)
    where = f" Billing page: {found.billing_url}" if found.billing_url else ""
    return f"Order {order_text(found)} {_when_and_why(found, today)}{_pending(found)}.{where}"


def order_text(found: TopUpPlan) -> str:
    """The amount to order in the account's unit, with tax and in money if known: `100 some-credit (8.00 USD)`."""
    bought = _amount(found, found.topup_amount)
    gross, price, money = found.topup_gross_amount, found.price_amount, found.price_unit_code
    if price is not None:
        costs = [money_text(found.topup_amount * price, money)]
        if gross is not None:
            costs.append(f"{money_text(gross * price, money)} with tax")
        bought += f" ({', '.join(costs)})"
    elif gross is not None:
        bought += f" ({amount_text(gross, UNKNOWN_UNIT, found.decimals_count)} with tax)"
    if found.topup_amount > rounded_up(found.needed_amount, found.decimals_count):
        bought += ", the smallest possible order,"
    return bought


def _none_needed(found: TopUpPlan, today: date) -> str:
    first = found.horizon_date - timedelta(days=found.topup_lead_days)
    when = f"before {_day(found, first)}" if first > today else "today"
    until, dry = _day(found, found.horizon_date), chance(found.without_topup_probability)
    return (
        f"No top-up is needed {when}: the chance of running dry by {until}, {_end(found)}, is {dry}{_pending(found)}."
    )


def _when_and_why(found: TopUpPlan, today: date) -> str:
    last_date, passed_date = found.last_order_date, found.risk_passed_date
    assert last_date is not None  # noqa: S101 - something is to be ordered
    assert passed_date is not None  # noqa: S101 - the same
    when = when_to_order(last_date, today, lambda day: _day(found, day))
    until = _day(found, found.cover_until_date) + (f", {_end(found)}," if found.is_capped else "")
    risk = exact_percent(found.topup_risk_probability)
    with_it, without_it = chance(found.with_topup_probability), chance(found.without_topup_probability)
    if today <= last_date:
        return (
            f"{when}: the chance of running dry by {until} is then {with_it}; without the top-up it exceeds {risk} on "
            f"{_day(found, passed_date)}"
        )
    # With its date, because it may be read on a later day.
    ordered, arrives = _day(found, today), _day(found, today + timedelta(days=found.topup_lead_days))
    if found.day_start_amount < 0:
        # An account that is below zero never had a last day to order.
        said = f"now: the balance is below zero until the top-up arrives, on {arrives} if ordered on {ordered}"
        lasts = exact_percent(1 - found.topup_risk_probability)
        chances = f"; the chance that the balance then lasts until {until} is {lasts} or more"
    else:
        exceeds = "exceeds" if passed_date > today else "has exceeded"
        since = "on" if passed_date > today else "since"
        said = (
            f"{when}, and an order of {ordered} arrives on {arrives}; the chance of running dry {exceeds} {risk} "
            f"{since} {_day(found, passed_date)}"
        )
        chances = f"; by {until} the chance is {with_it} with the top-up and {without_it} without it"
    # The chances are of an order on the day of issue.
    return said + (chances if today == found.issue_date else "")


def _end(found: TopUpPlan) -> str:
    return "the last day before the reset" if found.ends_at_reset else "the end of the forecast"


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
