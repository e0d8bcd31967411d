"""What is known of the running month: the days of each account, how it is converted, and the budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

import duckdb
import polars as pl

_ONE: Final = 1_000_000
"""Units that are converted to find the rate of one: more decimals of a small price survive."""

# Converted by the newest rate and the price of today, as days to come are.
_ACCOUNTS: Final = f"""
    WITH newest AS (
        SELECT unit_code, max(conversion_date) AS conversion_date FROM core.conversion_rates
        WHERE conversion_date <= $today GROUP BY unit_code
    ),
    -- A budget in a third currency: what is in the reporting currency is converted once more.
    budgets AS (
        SELECT scope_id AS account_id, budget_unit_code FROM core.budgets
        WHERE scope = 'account' AND from_month <= $first AND core.open_end(to_month) >= $first
    ),
    in_budgets AS (
        SELECT spend.account_id, spend.unit_code,
            sum(core.at_rate(spend.reporting_amount, rates.reporting_eur_rate, rates.eur_rate)) AS budget_spent_amount,
            count(*) = count(core.at_rate(spend.reporting_amount, rates.reporting_eur_rate, rates.eur_rate)) AS is_whole
        FROM core.spend_daily AS spend
        INNER JOIN budgets ON spend.account_id = budgets.account_id
        LEFT JOIN core.conversion_rates AS rates
            ON budgets.budget_unit_code = rates.unit_code AND spend.spend_date = rates.conversion_date
        WHERE spend.is_complete AND spend.spend_date >= $first AND spend.spend_date < $today
        GROUP BY spend.account_id, spend.unit_code
    ),
    begun AS (
        SELECT account_id, unit_code, min(spend_date) AS first_date FROM core.spend_daily GROUP BY account_id, unit_code
    ),
    spent AS (
        SELECT account_id, unit_code, sum(spend_amount) AS spent_amount,
            CASE WHEN count(reporting_amount) = count(*) THEN sum(reporting_amount) END AS reporting_spent_amount
        FROM core.spend_daily
        WHERE is_complete AND spend_date >= $first AND spend_date < $today
        GROUP BY account_id, unit_code
    ),
    -- Spend in a unit that the account is no longer held in is part of its team's total.
    others AS (
        SELECT spend.account_id, sum(spend.reporting_amount) AS reporting_amount
        FROM core.spend_daily AS spend
        INNER JOIN core.accounts AS accounts
            ON spend.account_id = accounts.account_id AND spend.unit_code <> accounts.unit_code
        WHERE spend.spend_date >= $first AND spend.spend_date <= $today
        GROUP BY spend.account_id
    )
    SELECT accounts.account_id, accounts.unit_code, accounts.reporting_unit_code, accounts.team,
        accounts.same_as_account_id IS NULL AS is_counted, begun.first_date,
        CAST(coalesce(spent.spent_amount, 0) AS DECIMAL(38, 9)) AS spent_amount,
        CAST(spent.reporting_spent_amount AS DECIMAL(38, 9)) AS reporting_spent_amount,
        spent.account_id IS NULL AS is_unspent,
        CAST(coalesce(others.reporting_amount, 0) AS DECIMAL(38, 9)) AS other_reporting_amount,
        CAST(core.to_reporting(
            CAST({_ONE} AS DECIMAL(38, 9)), accounts.unit_code, accounts.reporting_unit_code, prices.price_amount,
            prices.price_unit_code, rates.eur_rate, rates.reporting_eur_rate
        ) AS DOUBLE) / {_ONE} AS rate,
        CAST(budget_rates.eur_rate / budget_rates.reporting_eur_rate AS DOUBLE) AS budget_rate,
        budget_rates.fx_rate_date AS budget_fx_rate_date,
        CAST(CASE
            WHEN spent.account_id IS NULL AND budget_rates.unit_code IS NOT NULL THEN 0
            WHEN in_budgets.is_whole THEN in_budgets.budget_spent_amount
        END AS DECIMAL(38, 9)) AS budget_spent_amount
    FROM core.accounts AS accounts
    LEFT JOIN begun ON accounts.account_id = begun.account_id AND accounts.unit_code = begun.unit_code
    LEFT JOIN spent ON accounts.account_id = spent.account_id AND accounts.unit_code = spent.unit_code
    LEFT JOIN others ON accounts.account_id = others.account_id
    LEFT JOIN core.credit_prices AS prices
        ON accounts.account_id = prices.account_id AND accounts.unit_code = prices.unit_code
        AND prices.from_date <= $today AND core.open_end(prices.to_date) >= $today
    LEFT JOIN newest ON coalesce(prices.price_unit_code, accounts.unit_code) = newest.unit_code
    LEFT JOIN core.conversion_rates AS rates
        ON newest.unit_code = rates.unit_code AND newest.conversion_date = rates.conversion_date
    LEFT JOIN budgets ON accounts.account_id = budgets.account_id
        AND budgets.budget_unit_code NOT IN (accounts.unit_code, accounts.reporting_unit_code)
    LEFT JOIN newest AS newest_of_budget ON budgets.budget_unit_code = newest_of_budget.unit_code
    LEFT JOIN core.conversion_rates AS budget_rates
        ON newest_of_budget.unit_code = budget_rates.unit_code
        AND newest_of_budget.conversion_date = budget_rates.conversion_date
    LEFT JOIN in_budgets
        ON budgets.account_id = in_budgets.account_id AND accounts.unit_code = in_budgets.unit_code
    WHERE accounts.is_configured
    ORDER BY accounts.account_id
"""

_DAYS: Final = """
    WITH budgets AS (
        SELECT scope_id AS account_id, budget_unit_code FROM core.budgets
        WHERE scope = 'account' AND from_month <= $first AND core.open_end(to_month) >= $first
    )
    SELECT spend.account_id, spend.spend_date, CAST(spend.spend_amount AS DOUBLE) AS spend_amount,
        CAST(spend.reporting_amount AS DOUBLE) AS reporting_amount,
        CAST(core.at_rate(spend.reporting_amount, rates.reporting_eur_rate, rates.eur_rate) AS DOUBLE) AS budget_amount,
        spend.is_complete AND spend.spend_date < $today AS is_complete
    FROM core.spend_daily AS spend
    INNER JOIN core.accounts AS accounts
        ON spend.account_id = accounts.account_id AND spend.unit_code = accounts.unit_code AND accounts.is_configured
    LEFT JOIN budgets ON spend.account_id = budgets.account_id
    LEFT JOIN core.conversion_rates AS rates
        ON budgets.budget_unit_code = rates.unit_code AND spend.spend_date = rates.conversion_date
    WHERE spend.spend_date >= $first AND spend.spend_date <= $today
    ORDER BY spend.account_id, spend.spend_date
"""

_BUDGETS: Final = """
    SELECT scope, scope_id, budget_amount, budget_unit_code FROM core.budgets
    WHERE from_month <= $first AND core.open_end(to_month) >= $first ORDER BY scope, scope_id
"""


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in the month."""

    amount: Decimal
    unit_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningMonth:
    """What is known of the month that a day is in."""

    today: date
    accounts: pl.DataFrame
    """One row for each configured account: account_id, unit_code, reporting_unit_code, team (or null), is_counted
    (whether it is part of its team's total), first_date (of its history, or null), spent_amount and
    reporting_spent_amount of the complete days (null where it cannot be converted), is_unspent, other_reporting_amount
    (spent in former units), rate (reporting currency for one unit, or null). For a budget in a third currency also
    budget_spent_amount (of the complete days), budget_rate (of that currency for one of the reporting currency) and
    budget_fx_rate_date, else null."""
    days: pl.DataFrame
    """account_id, spend_date, spend_amount, reporting_amount, budget_amount (floats; the last is in the currency of the
    account's budget, if the reporting currency is converted to it) and is_complete of the known days."""
    budgets: Mapping[tuple[str, str], Budget]
    """By scope and scope_id."""


def read_running_month(connection: duckdb.DuckDBPyConnection, today: date) -> RunningMonth:
    """Read the month of a day, up to this day."""
    values: dict[str, Any] = {"today": today, "first": today.replace(day=1)}
    return RunningMonth(
        today=today,
        accounts=connection.sql(_ACCOUNTS, params=values).pl(),
        days=connection.sql(_DAYS, params=values).pl(),
        budgets=_budgets(connection, today),
    )


def budgets_of_month(connection: duckdb.DuckDBPyConnection, today: date) -> RunningMonth:
    """The month of a day with its budgets and without accounts, to add up outlooks of accounts."""
    values: dict[str, Any] = {"today": today, "first": today.replace(day=1)}
    return RunningMonth(
        today=today,
        accounts=connection.sql(f"SELECT * FROM ({_ACCOUNTS}) LIMIT 0", params=values).pl(),
        days=connection.sql(f"SELECT * FROM ({_DAYS}) LIMIT 0", params=values).pl(),
        budgets=_budgets(connection, today),
    )


def _budgets(connection: duckdb.DuckDBPyConnection, today: date) -> dict[tuple[str, str], Budget]:
    rows = connection.execute(_BUDGETS, {"first": today.replace(day=1)}).fetchall()
    return {(scope, scope_id): Budget(amount, unit) for scope, scope_id, amount, unit in rows}
