"""Read the forecaster's input from the warehouse."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date

import duckdb
import polars as pl

from pipeline.forecasts.engine import usual_spend
from pipeline.forecasts.engine.histories import SEASON_WEEKS
from pipeline.models.macros import expanded
from pipeline.schema.limits import HORIZON_DAYS

_HISTORY_DAYS = 7 * SEASON_WEEKS
"""How far back they use spend: what the season is learned of."""

# Only days on which the account had the unit that it has now: spend in another unit is no history of this one, and the
# days between a few charges in a foreign unit are not days without spend.
# Renewals that are known ahead are subtracted from past days, and added on the days on which they are due.
_SPEND = f"""
    WITH renewed AS (
        SELECT DISTINCT account_id FROM core.known_charges WHERE is_automatic
    ),
    renewals AS (
        SELECT entries.account_id, CAST(entries.effective_at_utc AT TIME ZONE 'UTC' AS DATE) AS spend_date,
            -sum(entries.entry_amount) AS renewal_amount
        FROM core.ledger_entries AS entries
        INNER JOIN renewed ON entries.account_id = renewed.account_id
        INNER JOIN core.accounts AS accounts
            ON entries.account_id = accounts.account_id AND entries.unit_code = accounts.unit_code
        WHERE entries.entry_kind = 'renewal' AND entries.entry_status IN ('settled', 'unknown')
        GROUP BY entries.account_id, CAST(entries.effective_at_utc AT TIME ZONE 'UTC' AS DATE)
    )
    SELECT spend.account_id, spend.spend_date AS date,
        CAST(spend.spend_amount - CASE WHEN spend.basis = 'ledger' THEN coalesce(renewals.renewal_amount, 0) ELSE 0 END
            AS DOUBLE) AS spend_amount,
        accounts.vendor
    FROM core.spend_daily AS spend
    INNER JOIN core.accounts AS accounts
        ON spend.account_id = accounts.account_id AND spend.unit_code = accounts.unit_code AND accounts.is_configured
    SEMI JOIN core.account_units AS units
        ON spend.account_id = units.account_id AND spend.unit_code = units.unit_code
        AND units.from_at_utc < CAST(spend.spend_date + 1 AS TIMESTAMP) AT TIME ZONE 'UTC'
        AND (units.to_at_utc IS NULL OR units.to_at_utc > CAST(spend.spend_date AS TIMESTAMP) AT TIME ZONE 'UTC')
    LEFT JOIN renewals ON spend.account_id = renewals.account_id AND spend.spend_date = renewals.spend_date
    WHERE spend.is_complete AND spend.spend_date > ? - {_HISTORY_DAYS} AND spend.spend_date <= ?
    ORDER BY spend.account_id, spend.spend_date
"""

# The newest balance that could be read, and what had been spent of its day by then: a forecast starts with that whole
# day. A published build, which `drawdown afford` reads, has no macros.
_BALANCES = f"""
    WITH newest AS (
        SELECT account_id, max(observed_at_utc) AS observed_at_utc
        FROM core.balance_snapshots WHERE balance_amount IS NOT NULL GROUP BY account_id
    ),
    quotas AS (
        SELECT snapshots.account_id, snapshots.observed_at_utc, snapshots.unit_code, snapshots.resets_at_utc,
            max(stated.resets_at_utc) AS last_reset_at_utc
        FROM core.balance_snapshots AS snapshots
        INNER JOIN newest
            ON snapshots.account_id = newest.account_id AND snapshots.observed_at_utc = newest.observed_at_utc
        LEFT JOIN core.balance_snapshots AS stated
            ON snapshots.account_id = stated.account_id AND stated.resets_at_utc < snapshots.resets_at_utc
            AND stated.resets_at_utc <= snapshots.observed_at_utc
        WHERE snapshots.resets_at_utc IS NOT NULL
        GROUP BY ALL
    ),
    -- What a quota is set back to where the vendor does not say: the most that was read since the last reset.
    fullest AS (
        SELECT quotas.account_id, max(snapshots.balance_amount) AS quota_amount
        FROM quotas
        INNER JOIN core.balance_snapshots AS snapshots
            ON quotas.account_id = snapshots.account_id AND quotas.unit_code = snapshots.unit_code
            AND snapshots.observed_at_utc >= coalesce(quotas.last_reset_at_utc, TIMESTAMPTZ '1970-01-01 00:00:00+00')
        GROUP BY quotas.account_id
    )
    SELECT snapshots.account_id, snapshots.balance_amount, snapshots.unit_code, snapshots.threshold_amount,
        snapshots.unconfirmed_amount, snapshots.observed_at_utc,
        CAST(snapshots.observed_at_utc AT TIME ZONE 'UTC' AS DATE) AS observed_date,
        coalesce(spend.spend_amount, 0) AS spent_amount, accounts.topup_lead_days, accounts.topup_minimum_amount,
        -- A gross balance is paid for with the tax in it.
        CASE WHEN accounts.tax_basis <> 'gross' THEN accounts.tax_rate END AS tax_rate,
        prices.price_amount, prices.price_unit_code, accounts.vendor,
        coalesce(auto_topups.is_on, false) AS is_auto, auto_topups.threshold_amount AS auto_threshold_amount,
        auto_topups.topup_amount AS auto_topup_amount,
        snapshots.resets_at_utc, coalesce(snapshots.quota_amount, fullest.quota_amount) AS quota_amount,
        quotas.last_reset_at_utc
    FROM core.balance_snapshots AS snapshots
    INNER JOIN newest
        ON snapshots.account_id = newest.account_id AND snapshots.observed_at_utc = newest.observed_at_utc
    INNER JOIN core.accounts AS accounts ON snapshots.account_id = accounts.account_id AND accounts.is_configured
    LEFT JOIN core.spend_daily AS spend
        ON snapshots.account_id = spend.account_id AND snapshots.unit_code = spend.unit_code
        AND CAST(snapshots.observed_at_utc AT TIME ZONE 'UTC' AS DATE) = spend.spend_date
    LEFT JOIN core.auto_topups AS auto_topups
        ON snapshots.account_id = auto_topups.account_id AND snapshots.unit_code = auto_topups.unit_code
    LEFT JOIN core.credit_prices AS prices
        ON snapshots.account_id = prices.account_id AND snapshots.unit_code = prices.unit_code
        AND CAST(snapshots.observed_at_utc AT TIME ZONE 'UTC' AS DATE) >= prices.from_date
        AND CAST(snapshots.observed_at_utc AT TIME ZONE 'UTC' AS DATE) <= {expanded("core.open_end(prices.to_date)")}
    LEFT JOIN quotas ON snapshots.account_id = quotas.account_id
    LEFT JOIN fullest ON snapshots.account_id = fullest.account_id
    WHERE snapshots.balance_amount IS NOT NULL AND snapshots.unit_code = accounts.unit_code
    ORDER BY snapshots.account_id
"""

# A charge that renews itself comes again each cycle; a cycle is a month where the vendor gives no other.
_CHARGES = f"""
    SELECT account_id, date, sum(charge_amount) AS charge_amount FROM (
        SELECT charges.account_id, CAST(charges.charge_amount AS DOUBLE) AS charge_amount,
            CAST(
                charges.due_date + to_months(CAST(cycles.number * coalesce(charges.cycle_months, 1) AS INTEGER)) AS DATE
            ) AS date
        FROM core.known_charges AS charges
        INNER JOIN core.accounts AS accounts
            ON charges.account_id = accounts.account_id AND charges.unit_code = accounts.unit_code
        CROSS JOIN range({HORIZON_DAYS // 28 + 1}) AS cycles(number)
        WHERE charges.is_automatic
    ) WHERE date > ? AND date <= ? + {HORIZON_DAYS}
    GROUP BY account_id, date ORDER BY account_id, date
"""

# What the vendor itself expects to be spent in a range of days, for accounts without any observed spend.
_PRIORS = """
    SELECT claims.account_id, CAST(arg_max(claims.claim_amount, claims.observed_at_utc) AS DOUBLE)
        / arg_max(claims.covers_to_date - claims.covers_from_date + 1, claims.observed_at_utc) AS mean_daily_amount
    FROM core.vendor_claims AS claims
    INNER JOIN core.accounts AS accounts
        ON claims.account_id = accounts.account_id AND claims.unit_code = accounts.unit_code
    WHERE claims.claim = 'estimated_expenses' AND claims.covers_to_date >= claims.covers_from_date
    GROUP BY claims.account_id HAVING mean_daily_amount >= 0 ORDER BY claims.account_id
"""

# The days of each plan among those that forecasts learn from or are for; an amount is spread evenly over its plan.
_PLANNED = f"""
    SELECT account_id, date, planned_amount, multiplier FROM (
        SELECT account_id, plan_number,
            from_date + CAST(unnest(range(to_date - from_date + 1)) AS INTEGER) AS date,
            CAST(coalesce(planned_amount, 0) AS DOUBLE) / (to_date - from_date + 1) AS planned_amount,
            CAST(coalesce(multiplier, 1) AS DOUBLE) AS multiplier
        FROM core.planned_spend
    ) WHERE date > ? - {_HISTORY_DAYS} AND date <= ? + {HORIZON_DAYS}
    ORDER BY account_id, date, plan_number
"""
_NO_PLANS = pl.Schema(
    {"account_id": pl.String, "date": pl.Date, "planned_amount": pl.Float64, "multiplier": pl.Float64}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What is known about the accounts at the end of a day."""

    as_of: date
    """The last whole day."""
    spend: pl.DataFrame
    """account_id, date, spend_amount, vendor: complete days, without known renewals and without plans."""
    balances: pl.DataFrame
    """account_id, balance_amount, unit_code, threshold_amount, unconfirmed_amount, observed_at_utc, observed_date,
    spent_amount (on observed_date, by then), topup_lead_days, topup_minimum_amount, tax_rate, price_amount and
    price_unit_code (of a credit), vendor, of the vendor's automatic top-ups is_auto, auto_threshold_amount and
    auto_topup_amount, and of a quota resets_at_utc, quota_amount and last_reset_at_utc; these are NULL without one, and
    the last also if none was seen. One row for each configured account with a balance that could be read."""
    known_charges: pl.DataFrame
    """account_id, date, charge_amount."""
    priors: pl.DataFrame
    """account_id, mean_daily_amount."""
    planned: pl.DataFrame = field(default_factory=_NO_PLANS.to_frame)
    """account_id, date, planned_amount, multiplier: one row for each plan and day, past or to come."""

    @property
    def account_ids(self) -> list[str]:
        """The accounts that are forecast."""
        return self.balances["account_id"].to_list()

    def without(self, accounts: Collection[str]) -> Inputs:
        """Return the inputs without these accounts."""
        if not accounts:
            return self
        kept = ~pl.col("account_id").is_in(list(accounts))
        return Inputs(
            as_of=self.as_of,
            spend=self.spend.filter(kept),
            balances=self.balances.filter(kept),
            known_charges=self.known_charges.filter(kept),
            priors=self.priors.filter(kept),
            planned=self.planned.filter(kept),
        )


def read_spend(connection: duckdb.DuckDBPyConnection, as_of: date) -> pl.DataFrame:
    """Read the complete days up to `as_of` that forecasts learn from, as `Inputs.spend`."""
    return usual_spend(connection.sql(_SPEND, params=[as_of, as_of]).pl(), _read_planned(connection, as_of))


def _read_planned(connection: duckdb.DuckDBPyConnection, as_of: date) -> pl.DataFrame:
    return connection.sql(_PLANNED, params=[as_of, as_of]).pl()


def build_date(connection: duckdb.DuckDBPyConnection) -> date | None:
    """Return the UTC day of the newest run; None where there is none."""
    [(day,)] = connection.sql("SELECT CAST(max(as_of_utc) AT TIME ZONE 'UTC' AS DATE) FROM staging.build").fetchall()
    return day  # type: ignore[no-any-return]


def read_inputs(connection: duckdb.DuckDBPyConnection, as_of: date) -> Inputs:
    """Read everything that the forecaster needs from core, up to the day `as_of`."""
    return Inputs(
        as_of=as_of,
        spend=read_spend(connection, as_of),
        balances=connection.sql(_BALANCES).pl(),
        known_charges=connection.sql(_CHARGES, params=[as_of, as_of]).pl(),
        priors=connection.sql(_PRIORS).pl(),
        planned=_read_planned(connection, as_of),
    )
