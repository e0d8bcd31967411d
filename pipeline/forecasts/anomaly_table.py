"""The table of anomalies: what came, held against what had been issued for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Final, TypeVar

import duckdb
import polars as pl

from pipeline.forecasts import anomaly_reasons
from pipeline.forecasts.account_forecasts import LEVELS
from pipeline.forecasts.anomalies import find_anomalies
from pipeline.forecasts.anomaly_reasons import ConventionChange, UnitChange
from pipeline.forecasts.engine.histories import QUANTILES

_HISTORY_DAYS: Final = 420
"""Days before an account's first issue that tell what is known to happen: as many as forecasts learn from."""

_AMOUNTS: Final = ("actual", "expected", "low", "high")

# An account's unit can change; only days in the unit of its newest issue are comparable.
_UNITS: Final = """
    SELECT account_id, arg_max(unit_code, issue_date) AS unit_code, min(forecast_date) AS first_date
    FROM forecasts.cost_daily GROUP BY account_id
"""

# Of each day its own issue, or where there is none the one before that came nearest.
_ISSUED: Final = f"""
    WITH units AS ({_UNITS}),
    spoken AS (
        SELECT daily.account_id, daily.forecast_date, min(daily.horizon_days) AS horizon_days
        FROM forecasts.cost_daily AS daily
        INNER JOIN units ON daily.account_id = units.account_id AND daily.unit_code = units.unit_code
        INNER JOIN core.spend_daily AS spend
            ON daily.account_id = spend.account_id AND daily.forecast_date = spend.spend_date
            AND daily.unit_code = spend.unit_code
        WHERE spend.is_complete
        GROUP BY daily.account_id, daily.forecast_date
    )
    SELECT daily.account_id, daily.forecast_date AS date,
        {", ".join(f'CAST(daily.p{level}_amount AS DOUBLE) AS "{level}"' for level in LEVELS)}
    FROM forecasts.cost_daily AS daily
    INNER JOIN spoken
        ON daily.account_id = spoken.account_id AND daily.forecast_date = spoken.forecast_date
        AND daily.horizon_days = spoken.horizon_days
    ORDER BY ALL
"""

# A day is restated when an entry of it, or its usage once it was over, is not what was stated first.
_ACTUAL: Final = f"""
    WITH units AS ({_UNITS}),
    restated AS (
        SELECT account_id, CAST(effective_at_utc AT TIME ZONE 'UTC' AS DATE) AS spend_date, 'ledger' AS basis,
            unit_code
        FROM core.ledger_entries
        WHERE entry_amount <> first_entry_amount
        UNION
        SELECT account_id, usage_date AS spend_date, 'usage' AS basis, NULL AS unit_code
        FROM staging.usage_statements
        WHERE NOT is_partial
        GROUP BY account_id, usage_date
        HAVING arg_min(credits_amount, (observed_at_utc, fetch_id))
            <> arg_max(credits_amount, (observed_at_utc, fetch_id))
    )
    SELECT spend.account_id, spend.spend_date AS date, CAST(spend.spend_amount AS DOUBLE) AS spend_amount,
        restated.spend_date IS NOT NULL AS is_restated
    FROM core.spend_daily AS spend
    INNER JOIN units ON spend.account_id = units.account_id AND spend.unit_code = units.unit_code
    LEFT JOIN restated
        ON spend.account_id = restated.account_id AND spend.spend_date = restated.spend_date
        AND spend.basis = restated.basis AND spend.unit_code = coalesce(restated.unit_code, spend.unit_code)
    WHERE spend.is_complete AND spend.spend_date > units.first_date - {_HISTORY_DAYS}
    ORDER BY ALL
"""


# A balance in another unit than before. Two changes on one day are one row of the table.
_UNITS_CHANGED: Final = """
    WITH turns AS (
        SELECT *, lag(unit_code) OVER (PARTITION BY account_id ORDER BY from_at_utc) AS unit_before_code
        FROM core.account_units
    )
    SELECT account_id, CAST(from_at_utc AT TIME ZONE 'UTC' AS DATE) AS first_date, unit_code AS account_unit_code,
        from_at_utc AS changed_at_utc, unit_before_code, unit_code
    FROM turns WHERE unit_before_code IS NOT NULL
    ORDER BY account_id, from_at_utc
"""

# A ledger that is signed in another way than before, dated by the first interval that speaks for it alone; or the first
# proof, where it says otherwise of some entry than what was assumed of the ledger when it was first read.
_CONVENTIONS_CHANGED: Final = """
    WITH turns AS (
        SELECT *,
            lag(sign_convention) OVER following AS sign_before,
            lag(amount_basis) OVER following AS basis_before
        FROM core.ledger_periods
        WINDOW following AS (PARTITION BY account_id ORDER BY from_date)
    ),
    ledgers AS (
        SELECT account_id, min(first_observed_at_utc) AS first_observed_at_utc
        FROM staging.ledger_entries GROUP BY account_id
    ),
    doubted AS (
        SELECT DISTINCT turns.account_id
        FROM turns
        INNER JOIN staging.ledger_entries AS entries
            ON turns.account_id = entries.account_id AND turns.sign_before IS NULL
        INNER JOIN ledgers ON turns.account_id = ledgers.account_id
        WHERE turns.proven_month IS NOT NULL
            AND ledgers.first_observed_at_utc
                < CAST(turns.proven_month + INTERVAL 1 MONTH AS TIMESTAMP) AT TIME ZONE 'UTC'
            AND (
                (turns.amount_basis = 'with_tax' AND abs(entries.gross_amount) <> abs(entries.stated_amount))
                OR CASE turns.sign_convention
                    WHEN 'signed' THEN sign(entries.stated_amount)
                    WHEN 'inverted' THEN -sign(entries.stated_amount)
                    WHEN 'by_kind' THEN CASE
                        WHEN entries.entry_kind IN ('top_up', 'refund') THEN abs(sign(entries.stated_amount))
                        WHEN entries.entry_kind IN ('usage', 'renewal', 'tax') THEN -abs(sign(entries.stated_amount))
                        ELSE sign(entries.stated_amount) END
                END <> CASE turns.assumed_convention
                    WHEN 'signed' THEN sign(entries.stated_amount)
                    WHEN 'inverted' THEN -sign(entries.stated_amount)
                    WHEN 'by_kind' THEN CASE
                        WHEN entries.entry_kind IN ('top_up', 'refund') THEN abs(sign(entries.stated_amount))
                        WHEN entries.entry_kind IN ('usage', 'renewal', 'tax') THEN -abs(sign(entries.stated_amount))
                        ELSE sign(entries.stated_amount) END
                END
            )
    ),
    changes AS (
        SELECT account_id, from_date, coalesce(to_date, DATE '9999-12-31') AS to_date, sign_convention, amount_basis,
            sign_before, basis_before, false AS is_first_proof
        FROM turns WHERE sign_before IS NOT NULL
        UNION ALL
        SELECT turns.account_id, turns.proven_month, coalesce(turns.to_date, DATE '9999-12-31'), turns.sign_convention,
            turns.amount_basis, turns.assumed_convention, 'stated', true
        FROM turns
        INNER JOIN doubted ON turns.account_id = doubted.account_id
        WHERE turns.sign_before IS NULL
    ),
    proven AS (
        SELECT changes.*, min(evidence.first_closed_at_utc) AS proven_at_utc
        FROM changes
        LEFT JOIN core.ledger_evidence AS evidence
            ON changes.account_id = evidence.account_id
            AND evidence.evidence_month BETWEEN changes.from_date AND changes.to_date
            AND contains(' ' || evidence.reconciled_by, ' ' || changes.sign_convention
                || CASE WHEN changes.amount_basis = 'with_tax' THEN '_with_tax ' ELSE ' ' END)
            AND NOT contains(' ' || evidence.reconciled_by, ' ' || changes.sign_before
                || CASE WHEN changes.basis_before = 'with_tax' THEN '_with_tax ' ELSE ' ' END)
        GROUP BY ALL
    )
    SELECT proven.account_id,
        coalesce(CAST(proven.proven_at_utc AT TIME ZONE 'UTC' AS DATE), proven.from_date) AS first_date,
        accounts.unit_code AS account_unit_code, proven.from_date, proven.sign_before, proven.basis_before,
        proven.sign_convention, proven.amount_basis, proven.is_first_proof
    FROM proven
    INNER JOIN core.accounts AS accounts ON proven.account_id = accounts.account_id
    ORDER BY proven.account_id, first_date, proven.from_date
"""

_Change = TypeVar("_Change", UnitChange, ConventionChange)


def rebuild_anomalies(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `forecasts.anomalies` from what was issued and what core tells of these days, and of units and signs.

    Run inside a transaction. A day whose issue spoke in another unit than the account's newest is not judged.
    """
    wide = connection.sql(_ISSUED).pl()
    by_level = dict(zip(LEVELS, QUANTILES, strict=True))
    issued = wide.unpivot(
        on=list(LEVELS), index=["account_id", "date"], variable_name="quantile", value_name="spend_amount"
    ).with_columns(pl.col("quantile").replace_strict(by_level, return_dtype=pl.Float64))
    units = connection.sql(f"SELECT account_id, unit_code FROM ({_UNITS})").pl()
    found = find_anomalies(connection.sql(_ACTUAL).pl(), issued, units=dict(units.iter_rows()))
    connection.execute("DELETE FROM forecasts.anomalies")
    connection.register("found", found.join(units, on="account_id"))
    amounts = ", ".join(f"CAST({name}_amount AS DECIMAL(38, 9)) AS {name}_amount" for name in _AMOUNTS)
    connection.execute(
        f"""
        INSERT INTO forecasts.anomalies BY NAME
        SELECT * REPLACE ({amounts}) FROM found ORDER BY account_id, first_date
        """
    )
    connection.unregister("found")
    _insert_changes(connection, "unit_changed", _UNITS_CHANGED, UnitChange, anomaly_reasons.of_units)
    _insert_changes(
        connection, "convention_changed", _CONVENTIONS_CHANGED, ConventionChange, anomaly_reasons.of_conventions
    )


def _insert_changes(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    query: str,
    change: type[_Change],
    reason: Callable[[Sequence[_Change]], str],
) -> None:
    """Insert a row for each account and day: `query` gives these, the account's unit, and the fields of the changes."""
    result = connection.execute(query)
    names = [column[0] for column in result.description or []][3:]

    def day(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return row[:2]

    rows = []
    for (account_id, first_date), grouped in groupby(result.fetchall(), day):
        found = list(grouped)
        changes = [change(**dict(zip(names, row[3:], strict=True))) for row in found]
        rows.append((account_id, first_date, first_date, kind, found[-1][2], reason(changes)))
    if rows:
        connection.executemany(
            "INSERT INTO forecasts.anomalies (account_id, first_date, last_date, anomaly_kind, unit_code, reason) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )
