-- The newest statement of each entry, with what was stated first.
select
    account_id,
    cast(id as varchar) as entry_id,
    created_at as effective_at_utc,
    amount as entry_amount,
    currency as unit_code,
    lower(type) as vendor_entry_type,
    lower(status) as vendor_status,
    description,
    first_value(fetched_at_utc) over statements as first_observed_at_utc,
    first_value(amount) over statements as first_entry_amount,
    fetched_at_utc as observed_at_utc,
    fetch_id
from {{ source('raw', 'ledger_entries') }}
window statements as (
    partition by account_id, id order by fetched_at_utc, fetch_id
    rows between unbounded preceding and unbounded following
)
qualify row_number() over (partition by account_id, id order by fetched_at_utc desc, fetch_id desc) = 1
