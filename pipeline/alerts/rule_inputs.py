"""What the rules look at, read from the warehouse."""

from __future__ import annotations

from typing import Any, Final

import duckdb

from pipeline.alerts.account_facts import (
    ANOMALY_DAYS,
    DRIFT_DAYS,
    SETTLING_DAYS,
    UNEXPLAINED_DAYS,
    AccountFacts,
    Anomaly,
    AnswerChange,
    BrokenRule,
)
from pipeline.schema.unexplained_classes import EXPECTED

READS: Final = (
    "staging.build",
    "staging.fetches",
    "staging.loads",
    "staging.rejects",
    "staging.schema_drift",
    "staging.quarantine",
    "core.accounts",
    "core.balance_bridge",
    "core.credit_prices",
    "forecasts.anomalies",
    "forecasts.current_month_outlook",
    "marts.account_status",
)
"""The tables that alerts are made of."""

_QUERY: Final = f"""
WITH polls AS (
    SELECT fetches.account_id, fetches.fetch_id, fetches.fetched_at_utc, fetches.reason,
        fetches.outcome = 'ok' AND coalesce(loads.accepted_rows, 0) > 0 AS is_read,
        loads.refused_newest_row IS NOT NULL AS is_refused
    FROM staging.fetches AS fetches
    INNER JOIN core.accounts AS accounts
        ON fetches.account_id = accounts.account_id AND fetches.vendor = accounts.vendor
    LEFT JOIN staging.loads AS loads ON fetches.fetch_id = loads.fetch_id AND loads.record_kind = 'balances'
    WHERE fetches.is_reading
),
read_last AS (
    SELECT account_id, coalesce(max(fetch_id) FILTER (WHERE is_read), '') AS fetch_id,
        coalesce(max(fetched_at_utc) FILTER (WHERE is_read), min(fetched_at_utc)) AS since_utc,
        arg_max(is_refused, fetch_id) AS is_refused
    FROM polls GROUP BY account_id
),
failing AS (
    SELECT polls.account_id, count(*) AS failed_poll_count, arg_max(polls.reason, polls.fetch_id) AS remedy
    FROM polls INNER JOIN read_last ON polls.account_id = read_last.account_id
    WHERE polls.fetch_id > read_last.fetch_id
    GROUP BY polls.account_id
),
unexplained AS (
    SELECT bridge.account_id, sum(abs(bridge.unexplained_amount)) AS unexplained_amount,
        list(DISTINCT bridge.unexplained_class ORDER BY bridge.unexplained_class) AS classes,
        max(bridge.closed_at_utc) AS closed_at_utc
    FROM core.balance_bridge AS bridge
    INNER JOIN core.accounts AS accounts
        ON bridge.account_id = accounts.account_id AND bridge.unit_code = accounts.unit_code
    CROSS JOIN staging.build AS build
    WHERE bridge.unexplained_amount <> 0 AND bridge.unexplained_class NOT IN {EXPECTED}
        AND bridge.closed_at_utc > build.as_of_utc - to_days({SETTLING_DAYS + UNEXPLAINED_DAYS})
        AND bridge.closed_at_utc <= build.as_of_utc - to_days({SETTLING_DAYS})
    GROUP BY bridge.account_id
),
anomalies AS (
    SELECT account_id,
        arg_max({{anomaly_kind: anomaly_kind, reason: reason}}, (last_date, anomaly_kind))
            FILTER (WHERE anomaly_kind <> 'unit_changed') AS newest,
        arg_max(reason, last_date) FILTER (WHERE anomaly_kind = 'unit_changed') AS unit_change_reason
    FROM forecasts.anomalies
    WHERE last_date >= (
        SELECT CAST(max(as_of_utc) AT TIME ZONE 'UTC' AS DATE) FROM staging.build
    ) - {ANOMALY_DAYS}
    GROUP BY account_id
),
-- What was so from the first answer on is no change, and rounding is what the vendor is known for.
first_answers AS (
    SELECT account_id, endpoint, min(fetched_at_utc) AS first_at_utc
    FROM staging.fetches WHERE outcome = 'ok' GROUP BY account_id, endpoint
),
changed_answers AS (
    SELECT drift.account_id, drift.endpoint, drift.column_name, drift.check_name
    FROM staging.schema_drift AS drift
    INNER JOIN first_answers
        ON drift.account_id = first_answers.account_id AND drift.endpoint = first_answers.endpoint
    CROSS JOIN staging.build AS build
    WHERE drift.check_name <> 'rounded_amount' AND drift.first_observed_at_utc > first_answers.first_at_utc
        AND drift.first_observed_at_utc > build.as_of_utc - to_days({DRIFT_DAYS})
    UNION
    SELECT rejects.account_id, rejects.endpoint, rejects.column_name, rejects.check_name
    FROM staging.rejects AS rejects
    CROSS JOIN staging.build AS build
    WHERE rejects.observed_at_utc > build.as_of_utc - to_days({DRIFT_DAYS})
),
quarantined AS (
    SELECT account_id,
        list({{table_name: table_name, rule_name: rule_name}} ORDER BY table_name, rule_name) AS broken_rules
    FROM staging.quarantine WHERE table_name <> 'alerts.states' GROUP BY account_id
),
drift AS (
    SELECT account_id,
        list(
            {{endpoint: endpoint, column_name: column_name, check_name: check_name}}
            ORDER BY endpoint, column_name, check_name
        ) AS answer_changes
    FROM changed_answers GROUP BY account_id
)
SELECT status.account_id, status.unit_code, status.reading_state, status.observed_at_utc, status.balance_amount,
    status.expected_balance_amount,
    coalesce(failing.failed_poll_count, 0) AS failed_poll_count,
    CAST(date_diff('second', read_last.since_utc, build.as_of_utc) AS DOUBLE) AS silent_seconds,
    coalesce(read_last.is_refused, false) OR coalesce(status.age_seconds > status.stale_after_seconds, false)
        AS is_overdue,
    failing.remedy,
    prices.price_amount, prices.price_unit_code, status.reporting_balance_amount, status.reporting_unit_code,
    status.reason, status.topup_advice, status.topup_amount, status.topup_gross_amount, status.order_by_date,
    status.reason_code = 'reset_passed' AS is_reset_since,
    status.method <> 'none' OR status.history_days > 0 AS is_spend_known,
    status.runway_days,
    CAST(status.runway_p10_date - CAST(build.as_of_utc AT TIME ZONE 'UTC' AS DATE) AS DOUBLE) AS cautious_days,
    status.runway_p50_date, status.depleted_7d_probability, status.burn_28d_amount,
    accounts.alert_below_days, accounts.alert_below_amount, status.threshold_amount,
    coalesce(status.is_cut_off, false) AS is_cut_off,
    unexplained.unexplained_amount, coalesce(unexplained.classes, []) AS unexplained_classes,
    unexplained.closed_at_utc AS unexplained_until_utc,
    anomalies.newest AS anomaly, anomalies.unit_change_reason,
    coalesce(quarantined.broken_rules, []) AS broken_rules,
    coalesce(drift.answer_changes, []) AS answer_changes
FROM marts.account_status AS status
CROSS JOIN staging.build AS build
LEFT JOIN core.accounts AS accounts ON status.account_id = accounts.account_id
LEFT JOIN core.credit_prices AS prices
    ON status.account_id = prices.account_id AND status.unit_code = prices.unit_code
        AND CAST(build.as_of_utc AT TIME ZONE 'UTC' AS DATE)
            BETWEEN prices.from_date AND coalesce(prices.to_date, CAST(build.as_of_utc AT TIME ZONE 'UTC' AS DATE))
LEFT JOIN read_last ON status.account_id = read_last.account_id
LEFT JOIN failing ON status.account_id = failing.account_id
LEFT JOIN unexplained ON status.account_id = unexplained.account_id
LEFT JOIN anomalies ON status.account_id = anomalies.account_id
LEFT JOIN quarantined ON status.account_id = quarantined.account_id
LEFT JOIN drift ON status.account_id = drift.account_id
ORDER BY status.account_id
"""


def read_readings(connection: duckdb.DuckDBPyConnection) -> list[AccountFacts]:
    """What is known of every configured account, in alphabetical order."""
    result = connection.execute(_QUERY)
    names = [column[0] for column in result.description or []]
    return [_facts(dict(zip(names, row, strict=True))) for row in result.fetchall()]


def _facts(row: dict[str, Any]) -> AccountFacts:
    parts = {
        "unexplained_classes": tuple(row["unexplained_classes"]),
        "anomaly": row["anomaly"] and Anomaly(**row["anomaly"]),
        "broken_rules": tuple(BrokenRule(**each) for each in row["broken_rules"]),
        "answer_changes": tuple(AnswerChange(**each) for each in row["answer_changes"]),
    }
    return AccountFacts(**row | parts)
