select count(*) as drift_count
from staging.schema_drift
