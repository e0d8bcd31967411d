select
    -- ids
    resource_days.account_id,
    resource_days.usage_date,
    resource_days.resource_kind,
    resource_days.resource_id,
    resource_days.resource_name,

    -- amounts
    resource_days.resource_amount,
    coalesce(resource_days.unit_code, units.unit_code) as unit_code,
    resource_days.is_partial,

    -- source
    resource_days.observed_at_utc,
    resource_days.fetch_id
from staging.resource_days as resource_days
inner join core.account_units as units
    on
        resource_days.account_id = units.account_id
        and resource_days.observed_at_utc >= units.from_at_utc
        and (units.to_at_utc is null or resource_days.observed_at_utc < units.to_at_utc)
