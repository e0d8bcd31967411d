select account_id, endpoint, last_attempt_at_utc, last_observed_at_utc, outcome, status_code, reason, fetch_count,
    failed_fetch_count
from marts.data_freshness
order by case when outcome = 'ok' then 1 else 0 end, account_id, endpoint
