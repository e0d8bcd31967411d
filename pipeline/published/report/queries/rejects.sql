select account_id, endpoint, record_kind, column_name, check_name, count(*) as reject_count,
    max(observed_at_utc) as observed_at_utc, max(fetch_id) as fetch_id,
    arg_max(redacted_value, (fetch_id, row_number)) as redacted_value
from staging.rejects
group by account_id, endpoint, record_kind, column_name, check_name
order by reject_count desc, account_id, endpoint, record_kind, column_name, check_name
limit 50
