-- One reading of a balance for each account and instant.
select
    account_id,
    fetched_at_utc as observed_at_utc,
    balance as balance_amount,
    currency as unit_code,
    fetch_id
from {{ source('raw', 'balances') }}
qualify row_number() over (partition by account_id, fetched_at_utc order by fetch_id desc) = 1
