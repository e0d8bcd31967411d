select
    -- ids
    rate_date,
    unit_code,

    -- the rate
    eur_rate,
    'ecb' as fx_source,

    -- source
    fetch_id
from staging.fx_rates
