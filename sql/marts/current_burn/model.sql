-- A resource counts unless the vendor states that it is gone or not billed.
with

listings as (
    select
        fetches.account_id,
        max(fetches.fetch_id) as fetch_id
    from staging.fetches as fetches
    inner join staging.loads as loads on fetches.fetch_id = loads.fetch_id
    where loads.record_kind = 'resource_rates' and (loads.accepted_rows > 0 or loads.received_rows = 0)
    group by fetches.account_id
),

billed as (
    select
        account_id,
        unit_code,
        minute_amount
    from core.resource_rates
    where coalesce(is_active, true) and not coalesce(is_excluded, false)
),

summed as (
    select
        account_id,
        unit_code,
        coalesce(sum(minute_amount), 0) * 1440 as burn_now_amount,
        count(*) as billed_resource_count,
        count(*) - count(minute_amount) as unpriced_resource_count
    from billed
    group by account_id, unit_code
)

select
    -- ids
    accounts.account_id,
    accounts.vendor,
    accounts.team,
    coalesce(summed.unit_code, accounts.unit_code) as unit_code,

    -- the burn of a day at this moment
    cast(coalesce(summed.burn_now_amount, 0) as decimal(38, 9)) as burn_now_amount,
    coalesce(summed.billed_resource_count, 0) as billed_resource_count,
    coalesce(summed.unpriced_resource_count, 0) as unpriced_resource_count,

    -- source
    fetches.fetched_at_utc as observed_at_utc,
    listings.fetch_id
from core.accounts as accounts
inner join listings on accounts.account_id = listings.account_id
inner join staging.fetches as fetches on listings.fetch_id = fetches.fetch_id
left join summed on accounts.account_id = summed.account_id
where accounts.is_configured
