select
    account_id,
    observed_at_utc,
    balance_amount,
    unit_code,
    fetch_id
from {{ ref('stg_balances') }}
