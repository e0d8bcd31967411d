"""What a build says of its accounts at the moment at which it is read.

A build ages like a reading: when nobody makes a new one, balances become stale and days run out all the same. So
whoever shows accounts reads them through `status_at`, and a schedule that is dead turns red by itself. The script of
the report (`report/templates/script.js`) applies the same limits where it is opened.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from pipeline.models.macros import expanded
from pipeline.schema.limits import CRITICAL_DAYS, WARNING_DAYS, WATCH_DAYS

_COUNTED_BY_DAY: Final = "status.method NOT IN ('none', 'mean_28d') AND status.runway_p50_date IS NOT NULL"
"""The days left are those to a date; else they are a balance over a mean."""

ORDER_NOW: Final = "The last day to order has passed since: order now."
"""Added to an advice whose day to order was not past when the build was made, and is when it is read."""


def status_at(now: datetime) -> str:
    """A SELECT of marts.account_status as it reads at an instant, with `as_of_utc`, which the build speaks of.

    It has the columns of the table. `age_seconds`, `reading_state`, `stale_code`, `expected_balance_amount`,
    `runway_days`, `runway_without_topups_days`, `severity`, `reason_code`, `reason` and `topup_advice` are those of
    `now`, or of the build where that is later; all else is the build's. Nothing becomes less urgent, or fresh, by
    waiting, except that nothing is known of a quota since a reset that no reading has followed.
    """
    instant = now.astimezone(UTC).isoformat()
    return f"""
    WITH built AS (
        SELECT max(CAST(value AS TIMESTAMPTZ)) AS as_of_utc FROM marts.build_info WHERE item = 'as_of_utc'
    ),
    clock AS (
        SELECT as_of_utc, greatest(TIMESTAMPTZ '{instant}', as_of_utc) AS now_utc FROM built
    ),
    passed AS (
        SELECT status.*, clock.as_of_utc,
            (epoch(clock.now_utc) - epoch(clock.as_of_utc)) / 86400 AS passed_days,
            CAST(clock.now_utc AT TIME ZONE 'UTC' AS DATE) AS now_date,
            CAST(clock.now_utc AT TIME ZONE 'UTC' AS DATE) - CAST(clock.as_of_utc AT TIME ZONE 'UTC' AS DATE)
                AS passed_dates,
            CASE
                WHEN status.observed_at_utc IS NOT NULL
                    THEN greatest(round(epoch(clock.now_utc) - epoch(status.observed_at_utc), 3), 0)
            END AS now_age_seconds,
            {_COUNTED_BY_DAY} AS is_by_day,
            coalesce(
                status.resets_at_utc > status.observed_at_utc AND status.resets_at_utc <= clock.now_utc, false
            ) AS is_reset_since
        FROM marts.account_status AS status
        CROSS JOIN clock
    ),
    states AS (
        SELECT *,
            CASE
                WHEN reading_state = 'fresh' AND (now_age_seconds > stale_after_seconds OR is_reset_since) THEN 'stale'
                ELSE reading_state
            END AS now_reading_state,
            CASE
                WHEN NOT is_reset_since
                    THEN greatest(
                        runway_days - CASE WHEN is_by_day THEN passed_dates ELSE passed_days END,
                        CASE WHEN runway_days IS NOT NULL THEN 0 END
                    )
            END AS now_runway_days,
            greatest(
                runway_without_topups_days - passed_days, CASE WHEN runway_without_topups_days IS NOT NULL THEN 0 END
            ) AS now_without_topups_days,
            runway_p10_date - now_date AS now_cautious_days,
            CASE
                WHEN burn_28d_amount > 0 THEN CAST(burn_28d_amount AS DOUBLE)
                WHEN is_by_day AND balance_amount > 0
                    THEN CAST(balance_amount AS DOUBLE)
                        / nullif(greatest(runway_p50_date - CAST(observed_at_utc AT TIME ZONE 'UTC' AS DATE), 0), 0)
            END AS expected_a_day
        FROM passed
    ),
    expected AS (
        SELECT *,
            CASE
                WHEN is_reset_since THEN NULL
                WHEN balance_amount <= 0 OR coalesce(auto_topup_model = 'modelled', false)
                    OR (now_reading_state <> 'stale' AND now_age_seconds < 86400)
                    THEN balance_amount
                ELSE CAST(greatest(balance_amount - coalesce(
                    TRY_CAST(coalesce(expected_a_day, 0) * now_age_seconds / 86400 AS DECIMAL(38, 9)), balance_amount
                ), CAST(0 AS DECIMAL(38, 9))) AS DECIMAL(38, 9))
            END AS now_expected_amount
        FROM states
    ),
    judged AS (
        SELECT *,
            CASE
                WHEN is_reset_since THEN 'unknown'
                WHEN severity = 'critical' OR now_runway_days <= {CRITICAL_DAYS} THEN 'critical'
                WHEN severity = 'warning' OR now_runway_days <= {WARNING_DAYS} OR now_cautious_days <= {CRITICAL_DAYS}
                    OR now_runway_days < alert_below_days OR now_expected_amount < alert_below_amount
                    THEN 'warning'
                WHEN severity = 'watch' OR now_runway_days <= {WATCH_DAYS} OR now_cautious_days <= {WARNING_DAYS}
                    OR now_expected_amount < threshold_amount
                    THEN 'watch'
                ELSE severity
            END AS now_severity
        FROM expected
    )
    SELECT * EXCLUDE (
            passed_days, now_date, passed_dates, now_age_seconds, is_by_day, now_reading_state, now_runway_days,
            now_without_topups_days, now_cautious_days, expected_a_day, now_expected_amount, now_severity,
            is_reset_since
        ) REPLACE (
            now_age_seconds AS age_seconds,
            now_reading_state AS reading_state,
            CASE
                WHEN now_reading_state = reading_state THEN stale_code
                WHEN is_reset_since THEN 'reset_passed'
                ELSE 'too_old'
            END AS stale_code,
            CASE WHEN is_reset_since THEN 'reset_passed' ELSE reason_code END AS reason_code,
            now_expected_amount AS expected_balance_amount,
            CAST(now_runway_days AS DOUBLE) AS runway_days,
            CAST(now_without_topups_days AS DOUBLE) AS runway_without_topups_days,
            now_severity AS severity,
            CASE
                WHEN is_reset_since AND reason_code <> 'reset_passed'
                    THEN {expanded("core.reset_passed_words(resets_at_utc, balance_amount, unit_code)")} || '.'
                ELSE
                    CASE
                        WHEN now_reading_state <> reading_state
                            THEN {expanded("core.silence_words(now_age_seconds)")} || '. '
                        ELSE ''
                    END || reason || CASE
                        WHEN now_severity = severity THEN ''
                        WHEN now_runway_days IS NULL THEN ' Since then it has become ' || now_severity || '.'
                        ELSE ' Since then it has become ' || now_severity || ': '
                            || {expanded("core.days_words(now_runway_days)")} || ' left.'
                    END
            END AS reason,
            CASE
                WHEN order_by_date >= CAST(as_of_utc AT TIME ZONE 'UTC' AS DATE) AND order_by_date < now_date
                    AND NOT contains(topup_advice, ' now: ')
                    THEN topup_advice || ' {ORDER_NOW}'
                ELSE topup_advice
            END AS topup_advice
        )
    FROM judged
    """
