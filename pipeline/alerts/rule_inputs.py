"""What the rules look at, read from the warehouse."""

from __future__ import annotations

from typing import Final

import duckdb

from pipeline.alerts.rules import AccountFacts

READS: Final = (
    "staging.build",
    "staging.fetches",
    "staging.loads",
    "staging.rejects",
    "staging.schema_drift",
    "staging.quarantine",
    "core.accounts",
    "core.balance_bridge",
    "forecasts.anomalies",
    "marts.account_status",
)
"""The tables that alerts are made of."""

UNEXPLAINED_DAYS: Final = 7
"""Unexplained intervals count for so long; after that, they are history."""
SETTLING_DAYS: Final = 1
"""Entries are booked late: what is younger may yet be explained."""
ANOMALY_DAYS: Final = 7
DRIFT_DAYS: Final = 2

# Classes of the bridge that are no missing money: booked beside the boundary of two intervals, on its way, or less than
# the last digit that the vendor states.
_EXPECTED: Final = ("boundary", "pending_deposit", "rounding")

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
        count(*) AS interval_count,
        string_agg(DISTINCT bridge.unexplained_class, ', ' ORDER BY bridge.unexplained_class) AS classes,
        max(bridge.closed_at_utc) AS closed_at_utc
    FROM core.balance_bridge AS bridge
    INNER JOIN core.accounts AS accounts
        ON bridge.account_id = accounts.account_id AND bridge.unit_code = accounts.unit_code
    CROSS JOIN staging.build AS build
    WHERE bridge.unexplained_amount <> 0 AND bridge.unexplained_class NOT IN {_EXPECTED}
        AND bridge.closed_at_utc > build.as_of_utc - to_days({SETTLING_DAYS + UNEXPLAINED_DAYS})
        AND bridge.closed_at_utc <= build.as_of_utc - to_days({SETTLING_DAYS})
    GROUP BY bridge.account_id
),
anomalies AS (
    SELECT account_id,
        arg_max(anomaly_kind || ': ' || reason, (last_date, anomaly_kind))
            FILTER (WHERE anomaly_kind <> 'unit_changed') AS words,
        arg_max(reason, last_date) FILTER (WHERE anomaly_kind = 'unit_changed') AS unit_words
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
strange AS (
    SELECT drift.account_id, drift.endpoint || ': ' || drift.column_name || ': ' || drift.check_name AS words
    FROM staging.schema_drift AS drift
    INNER JOIN first_answers
        ON drift.account_id = first_answers.account_id AND drift.endpoint = first_answers.endpoint
    CROSS JOIN staging.build AS build
    WHERE drift.check_name <> 'rounded_amount' AND drift.first_observed_at_utc > first_answers.first_at_utc
        AND drift.first_observed_at_utc > build.as_of_utc - to_days({DRIFT_DAYS})
    UNION
    SELECT rejects.account_id, rejects.endpoint || ': ' || rejects.column_name || ': ' || rejects.check_name AS words
    FROM staging.rejects AS rejects
    CROSS JOIN staging.build AS build
    WHERE rejects.observed_at_utc > build.as_of_utc - to_days({DRIFT_DAYS})
),
quarantined AS (
    SELECT account_id, 'Its last published rows are kept: '
        || string_agg(table_name || ': ' || rule_name, '; ' ORDER BY table_name, rule_name)
        || '. See staging.quarantine.' AS words
    FROM staging.quarantine WHERE table_name <> 'alerts.states' GROUP BY account_id
),
drift AS (
    SELECT account_id, min(words) || CASE WHEN count(*) > 1 THEN ' and ' || (count(*) - 1) || ' more' ELSE '' END
        AS words
    FROM strange GROUP BY account_id
)
SELECT status.account_id, status.unit_code, status.reading_state, status.observed_at_utc, status.balance_amount,
    status.expected_balance_amount,
    coalesce(failing.failed_poll_count, 0) AS failed_poll_count,
    CAST(date_diff('second', read_last.since_utc, build.as_of_utc) AS DOUBLE) AS silent_seconds,
    coalesce(read_last.is_refused, false) OR coalesce(status.age_seconds > status.stale_after_seconds, false)
        AS is_overdue,
    failing.remedy,
    status.reason, status.topup_advice, status.topup_amount, status.topup_gross_amount, status.order_by_date,
    status.method <> 'none' OR status.history_days > 0 AS is_spend_known,
    status.runway_days,
    CAST(status.runway_p10_date - CAST(build.as_of_utc AT TIME ZONE 'UTC' AS DATE) AS DOUBLE) AS cautious_days,
    status.runway_p50_date, status.depleted_7d_probability, status.burn_28d_amount,
    accounts.alert_below_days, accounts.alert_below_amount, status.threshold_amount,
    unexplained.unexplained_amount,
    coalesce(
        CAST(CAST(unexplained.unexplained_amount AS DECIMAL(38, 2)) AS VARCHAR) || ' ' || status.unit_code
        || ' of the last {UNEXPLAINED_DAYS} days cannot be explained (' || unexplained.classes || '), newest up to '
        || strftime(unexplained.closed_at_utc AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M') || ' UTC: see '
        || 'core.balance_bridge.',
        ''
    ) AS unexplained_words,
    anomalies.words AS anomaly_words, anomalies.unit_words, quarantined.words AS quarantine_words,
    'The structure of answers changed, or rows were rejected: ' || drift.words || '. See staging.schema_drift and '
    || 'staging.rejects.' AS drift_words
FROM marts.account_status AS status
CROSS JOIN staging.build AS build
LEFT JOIN core.accounts AS accounts ON status.account_id = accounts.account_id
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
    return [AccountFacts(**dict(zip(names, row, strict=True))) for row in result.fetchall()]
