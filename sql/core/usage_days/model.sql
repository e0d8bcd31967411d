-- Usage has no unit of its own: it has the unit of the balance when the vendor first stated the current amount, even if
-- the balance has changed its unit since.
with

switched as (
    select account_id
    from core.account_units
    group by account_id
    having count(*) > 1
),

first_stated as (
    select
        usage_days.account_id,
        usage_days.usage_date,
        min(statements.observed_at_utc) as stated_at_utc
    from staging.usage_days as usage_days
    inner join switched on usage_days.account_id = switched.account_id
    inner join staging.usage_statements as statements
        on
            usage_days.account_id = statements.account_id
            and usage_days.usage_date = statements.usage_date
            and usage_days.credits_amount is not distinct from statements.credits_amount
    group by usage_days.account_id, usage_days.usage_date
)

select
    -- ids
    usage_days.account_id,
    usage_days.usage_date,

    -- quantities and amounts
    usage_days.usage_quantity,
    usage_days.usage_unit,
    usage_days.credits_amount,
    units.unit_code,
    usage_days.cost_amount,
    usage_days.cost_unit_code,
    usage_days.is_partial,

    -- source
    usage_days.observed_at_utc,
    usage_days.fetch_id
from staging.usage_days as usage_days
left join first_stated
    on usage_days.account_id = first_stated.account_id and usage_days.usage_date = first_stated.usage_date
inner join core.account_units as units
    on
        usage_days.account_id = units.account_id
        and coalesce(first_stated.stated_at_utc, usage_days.observed_at_utc) >= units.from_at_utc
        and (
            units.to_at_utc is null
            or coalesce(first_stated.stated_at_utc, usage_days.observed_at_utc) < units.to_at_utc
        )
