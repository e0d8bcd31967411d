"""Whether an account can afford a campaign: spend that comes on top of its forecast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

import numpy as np

from pipeline.forecasts.engine import InputError, Paths, passed_by_day
from pipeline.forecasts.engine.arrays import Floats
from pipeline.forecasts.quota import Quota
from pipeline.forecasts.quota import simulate as follow
from pipeline.forecasts.topup.advice import plan
from pipeline.forecasts.topup.automatic import Rule, simulate
from pipeline.forecasts.topup.money import checked
from pipeline.forecasts.topup.topup_plan import Terms, TopUpPlan

Answer = Literal["yes", "after_topup", "no"]
"""`yes`: within the accepted risk. `after_topup`: if a top-up is ordered in time. `no`: none can arrive in time."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Additional spend, the same amount on each day. Raises InputError for days out of order and amounts below 0."""

    amount: Decimal
    """In total, in the account's unit."""
    from_date: date
    to_date: date
    """The last day, inclusive."""

    def __post_init__(self) -> None:
        if checked(self.amount, "the amount") < 0:
            raise InputError(f"the amount is {self.amount}; it must be 0 or more")
        if self.to_date < self.from_date:
            raise InputError(f"the campaign ends on {self.to_date}, before it starts on {self.from_date}")

    def by_day(self, first: date, days: int) -> Floats:
        """(days,): its spend on each of the days from `first` on."""
        spread = np.zeros(days)
        start = (self.from_date - first).days
        length = (self.to_date - self.from_date).days + 1
        spread[start : start + length] = float(self.amount) / length
        return spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Affordability:
    """The answer for one account, with the probabilities of running dry by the campaign's last day."""

    answer: Answer
    campaign: Campaign
    day_start_amount: Decimal
    """The balance with which the first day of the paths began."""
    accepted_probability: float
    without_probability: float
    """Without the campaign, if nothing is paid in."""
    with_probability: float
    """With it, if nothing is paid in."""
    has_auto_topups: bool
    """Whether the vendor's automatic top-ups are in both probabilities; then there is no `topup`."""
    resets_at_utc: datetime | None
    """When the balance is set back next, if it is a quota; both probabilities include it, and there is no `topup`."""
    topup: TopUpPlan | None
    """The top-up that would keep the risk, and by when it is to be ordered. None if the answer is `yes`, and if no
    order of today arrives before the campaign ends."""


_SHARES_OF_RISK: Final = (1.0, 0.5, 0.25, 1e-6)
"""A plan accepts its risk before the credit, and again after it. If both together exceed the accepted risk, an earlier
and larger order may not: the last one leaves only what no order can prevent."""


def afford(
    paths: Paths,
    campaign: Campaign,
    *,
    balance: Decimal,
    terms: Terms,
    rule: Rule,
    issue_date: date,
    unit_code: str,
    scale: int,
    quota: Quota | None = None,
) -> Affordability:
    """Judge a campaign by the account's sample paths: it may run dry by the last day with at most `terms.risk`.

    `balance` is that of the end of `paths.as_of`. `rule` is that of the vendor's automatic top-ups. `issue_date`,
    `unit_code` and `scale` are those of `plan`, which gives the top-up. `quota` is that of a balance that is
    set back; then there is no top-up. More spend never lowers the probability of
    running dry, unless it makes an automatic top-up come earlier.

    Raises InputError for a campaign that begins before `issue_date` or ends after the paths.
    """
    horizon = paths.as_of + paths.amounts.shape[1] * _DAY
    if campaign.from_date < issue_date:
        raise InputError(f"the campaign starts on {campaign.from_date}, which is over; it can start on {issue_date}")
    if campaign.to_date > horizon:
        raise InputError(f"the campaign ends on {campaign.to_date}, after the forecast, which ends on {horizon}")
    days = (campaign.to_date - paths.as_of).days
    until_end = replace(paths, amounts=paths.amounts[:, :days], charges=paths.charges[:days])
    added = campaign.by_day(paths.as_of + _DAY, days)
    spent = replace(until_end, amounts=until_end.amounts + added)
    if quota is not None:
        rule = Rule(is_on=False)
    automatic = [simulate(each, balance=balance, rule=rule).depleted_probability for each in (until_end, spent)]
    has_auto_topups = automatic[0] is not None
    without, with_it = (
        float(shares[-1]) if shares is not None else _dry(each, balance, quota)
        for shares, each in zip(automatic, (until_end, spent), strict=True)
    )
    answer: Answer = "yes" if with_it <= terms.risk else "no"
    topup = None
    can_order = not has_auto_topups and quota is None
    if answer == "no" and can_order and issue_date + terms.whole_lead_days * _DAY <= campaign.to_date:
        for share in _SHARES_OF_RISK:
            planned = plan(
                spent,
                balance=balance,
                terms=replace(terms, cover_days=days, risk=terms.risk * share),
                issue_date=issue_date,
                unit_code=unit_code,
                scale=scale,
            )
            # If none is enough, the answer shows the plan of the accepted risk.
            topup = topup or planned
            if planned.with_topup_probability <= terms.risk:
                answer, topup = "after_topup", planned
                break
    return Affordability(
        answer=answer,
        campaign=campaign,
        day_start_amount=balance,
        accepted_probability=terms.risk,
        without_probability=without,
        with_probability=with_it,
        has_auto_topups=has_auto_topups,
        resets_at_utc=None if quota is None else quota.resets_at_utc,
        topup=topup,
    )


def _dry(paths: Paths, balance: Decimal, quota: Quota | None) -> float:
    if quota is not None:
        return float(follow(paths, balance=balance, quota=quota).depleted_probability[-1])
    return float(passed_by_day(paths.sums(), float(balance))[-1])
