select count(*) as drift_count
from staging.schema_drift
where check_name <> 'rounded_amount'
