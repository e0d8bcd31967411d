"""The alert about exchange rates: it concerns the fleet, so one message covers all accounts.

It judges the rates that are needed now: of each unit in which a configured account has its balance, or its credits
their price. A currency for which there never was a rate has none that is old.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import duckdb

from pipeline.alerts.state_machine import Evidence, RuleResult
from pipeline.schema.limits import CURRENT_RATE_DAYS
from pipeline.schema.severities import EVERY_ACCOUNT, OLD_RATES
from pipeline.schema.units import UNKNOWN_UNIT
from pipeline.support.wording import count

READS: Final = ("staging.build", "core.conversion_rates", "core.credit_prices", "marts.account_status")
"""The tables that the rule is computed from."""

_BUILD: Final = "SELECT as_of_utc, fx_oldest_days FROM staging.build"
_QUERY: Final = f"""
WITH build AS (
    SELECT reporting_unit_code, CAST(as_of_utc AT TIME ZONE 'UTC' AS DATE) AS now_date FROM staging.build
),
needed AS (
    SELECT coalesce(prices.price_unit_code, status.unit_code) AS unit_code, count(*) AS account_count
    FROM marts.account_status AS status
    CROSS JOIN build
    LEFT JOIN core.credit_prices AS prices
        ON status.account_id = prices.account_id AND status.unit_code = prices.unit_code
            AND build.now_date BETWEEN prices.from_date AND coalesce(prices.to_date, build.now_date)
    WHERE status.balance_amount IS NOT NULL
    GROUP BY 1
),
newest AS (
    SELECT rates.unit_code, max(rates.fx_rate_date) AS fx_rate_date,
        coalesce(bool_or(rates.fx_rate_date IS NULL AND rates.conversion_date = build.now_date), false) AS is_fixed
    FROM core.conversion_rates AS rates
    CROSS JOIN build
    WHERE coalesce(rates.fx_rate_date, rates.conversion_date) <= build.now_date
    GROUP BY rates.unit_code
)
SELECT needed.unit_code, newest.fx_rate_date, build.now_date - newest.fx_rate_date AS age_days, needed.account_count
FROM needed
CROSS JOIN build
INNER JOIN newest ON needed.unit_code = newest.unit_code
WHERE NOT newest.is_fixed AND build.now_date - newest.fx_rate_date > {CURRENT_RATE_DAYS}
ORDER BY needed.unit_code
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRate:
    """A currency whose newest exchange rate is too old to be used without a mark."""

    unit_code: str
    rate_date: date
    age_days: int
    account_count: int
    """Configured accounts that need it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateFacts:
    """Inputs of the rule."""

    as_of: datetime
    oldest_days: int
    """Days for which a rate may be used: `fx.oldest_days`."""
    old_rates: tuple[OldRate, ...]
    """By unit code, in alphabetical order."""


def read_rates(connection: duckdb.DuckDBPyConnection) -> RateFacts | None:
    """What is known of the exchange rates that are needed; None if there was no run yet."""
    build = connection.execute(_BUILD).fetchall()
    if not build:
        return None
    [(as_of, oldest_days)] = build
    rows = connection.execute(_QUERY).fetchall()
    return RateFacts(
        as_of=as_of,
        oldest_days=int(oldest_days),
        old_rates=tuple(
            OldRate(unit_code=unit_code, rate_date=rate_date, age_days=age_days, account_count=accounts)
            for unit_code, rate_date, age_days, accounts in rows
        ),
    )


def old_rates(facts: RateFacts, severity: str, remedy: str) -> RuleResult:
    """Result of the rule; `remedy` says what to do about old rates."""
    bad = severity if facts.old_rates else None
    return RuleResult(
        account_id=EVERY_ACCOUNT,
        rule=OLD_RATES,
        is_known=True,
        is_fresh=True,
        severity=bad,
        held_severity=bad,
        read_at=facts.as_of,
        message=_words(facts, remedy) if facts.old_rates else "Every exchange rate that is needed is current.",
        evidence=Evidence(unit_code=UNKNOWN_UNIT),
    )


def _words(facts: RateFacts, remedy: str) -> str:
    each = "; ".join(
        f"{rate.unit_code}: {rate.rate_date}, {count(rate.age_days, 'day')} ago, needed by "
        f"{count(rate.account_count, 'account')}"
        for rate in facts.old_rates
    )
    use = f"Amounts are converted at them and marked up to {facts.oldest_days} days, and not converted after that."
    return (
        f"The newest exchange rates are of more than {CURRENT_RATE_DAYS} days ago ({each}). {use} "
        f"{remedy[:1].upper()}{remedy[1:]}."
    )
