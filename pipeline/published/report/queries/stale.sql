select account_id, reading_state, observed_at_utc, age_seconds, reason
from marts.account_status
where reading_state <> 'fresh'
order by account_id
