-- warn is_expected: No account has an anomaly in the last 7 days.
-- Older ones have been reported before.
select
    account_id,
    anomaly_kind || ': ' || reason as message
from forecasts.anomalies
where
    last_date >= (
        select cast(max(build.as_of_utc) at time zone 'UTC' as date) from staging.build as build
    ) - 7
order by account_id, first_date, anomaly_kind
