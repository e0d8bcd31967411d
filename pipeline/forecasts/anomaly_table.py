"""The table of anomalies: what came, held against what had been issued for it."""

from __future__ import annotations

from typing import Final

import duckdb
import polars as pl

from pipeline.forecasts.anomalies import find
from pipeline.forecasts.engine.histories import QUANTILES
from pipeline.forecasts.outlook import LEVELS

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
        SELECT account_id, CAST(effective_at_utc AT TIME ZONE 'UTC' AS DATE) AS spend_date, 'ledger' AS basis
        FROM core.ledger_entries
        WHERE entry_amount <> first_entry_amount
        UNION
        SELECT account_id, usage_date AS spend_date, 'usage' AS basis
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
        AND spend.basis = restated.basis
    WHERE spend.is_complete AND spend.spend_date > units.first_date - {_HISTORY_DAYS}
    ORDER BY ALL
"""


def rebuild_anomalies(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `forecasts.anomalies` anew from what was issued and what core tells of these days.

    Run inside a transaction. A day whose issue spoke in another unit than the account's newest is not judged.
    """
    wide = connection.sql(_ISSUED).pl()
    by_level = dict(zip(LEVELS, QUANTILES, strict=True))
    issued = wide.unpivot(
        on=list(LEVELS), index=["account_id", "date"], variable_name="quantile", value_name="spend_amount"
    ).with_columns(pl.col("quantile").replace_strict(by_level, return_dtype=pl.Float64))
    found = find(connection.sql(_ACTUAL).pl(), issued)
    connection.execute("DELETE FROM forecasts.anomalies")
    connection.register("found", found)
    amounts = ", ".join(f"CAST({name}_amount AS DECIMAL(38, 9)) AS {name}_amount" for name in _AMOUNTS)
    connection.execute(
        f"""
        INSERT INTO forecasts.anomalies BY NAME
        SELECT found.* REPLACE ({amounts}), units.unit_code
        FROM found INNER JOIN ({_UNITS}) AS units ON found.account_id = units.account_id
        ORDER BY found.account_id, found.first_date
        """
    )
    connection.unregister("found")
