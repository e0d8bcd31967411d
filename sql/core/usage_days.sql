select
    -- ids
    usage_days.account_id,
    usage_days.usage_date,

    -- quantities and amounts
    usage_days.usage_quantity,
    usage_days.usage_unit,
    usage_days.credits_amount,
    accounts.unit_code,
    usage_days.cost_amount,
    usage_days.cost_unit_code,
    usage_days.is_partial,

    -- where it came from
    usage_days.observed_at_utc,
    usage_days.fetch_id
from staging.usage_days as usage_days
inner join core.accounts as accounts on usage_days.account_id = accounts.account_id
