"""The terms of an account's top-ups, and the plan that follows from them and its forecast."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pipeline.forecasts.engine.histories import InputError
from pipeline.forecasts.topup.money import checked
from pipeline.support.order_dates import last_order_date


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
    price_amount: Decimal | None = None
    """Price of one of the account's credits, in `price_unit_code`; None for a currency, and if it is unknown."""
    price_unit_code: str = ""
    ends_at_reset: bool = False
    """Whether the paths end on the last day before a quota is reset."""
    billing_url: str | None = None
    """The vendor's public page on which a top-up is ordered; None if it is unknown."""

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
    price_amount: Decimal | None
    """That of `Terms`, as the next three."""
    price_unit_code: str
    billing_url: str | None
    ends_at_reset: bool
    unconfirmed_amount: Decimal | None
    """Deposits that are not credited yet: shown but not deducted, because they may not arrive."""
    with_topup_probability: float
    """The probability of running dry by the end of `cover_until_date` if `topup_amount` arrives on `arrival_date`. It
    includes running dry before that day, which no top-up can prevent."""
    without_topup_probability: float
    """The same if nothing is paid in."""
    topup_advice: str
    """The advice in words."""

    @property
    def last_order_date(self) -> date | None:
        """The last day on which an order arrives in time, which may be past; None if nothing is to be ordered."""
        return None if self.risk_passed_date is None else last_order_date(self.risk_passed_date, self.topup_lead_days)
