select
    -- ids
    resource_days.account_id,
    resource_days.usage_date,
    resource_days.resource_kind,
    resource_days.resource_id,
    resource_days.resource_name,

    -- amounts
    resource_days.resource_amount,
    coalesce(resource_days.unit_code, accounts.unit_code) as unit_code,
    resource_days.is_partial,

    -- where it came from
    resource_days.observed_at_utc,
    resource_days.fetch_id
from staging.resource_days as resource_days
inner join core.accounts as accounts on resource_days.account_id = accounts.account_id
