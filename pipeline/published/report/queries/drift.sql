select account_id, endpoint, column_name, check_name, redacted_value, first_observed_at_utc, fetch_id
from staging.schema_drift
where check_name <> 'rounded_amount'
order by first_observed_at_utc desc, account_id, endpoint, column_name, check_name
limit 50
