select count(*) as reject_count
from staging.rejects
