-- Rates are those of the newest listing: a resource that is no longer listed costs nothing more.
with

newest as (
    select
        fetches.account_id,
        max(fetches.fetch_id) as fetch_id
    from staging.fetches as fetches
    inner join staging.loads as loads on fetches.fetch_id = loads.fetch_id
    -- A listing without a readable row does not prove that nothing is billed.
    where loads.record_kind = 'resource_rates' and (loads.accepted_rows > 0 or loads.received_rows = 0)
    group by fetches.account_id
)

select
    -- ids
    rates.account_id,
    rates.vendor_resource_type,
    rates.resource_id,
    rates.resource_kind,
    rates.resource_name,

    -- amounts
    rates.minute_amount,
    coalesce(rates.unit_code, units.unit_code) as unit_code,
    rates.is_active,
    rates.is_excluded,

    -- source
    rates.observed_at_utc,
    rates.fetch_id
from staging.resource_rates as rates
inner join newest on rates.account_id = newest.account_id and rates.fetch_id = newest.fetch_id
inner join core.account_units as units
    on
        rates.account_id = units.account_id
        and rates.observed_at_utc >= units.from_at_utc
        and (units.to_at_utc is null or rates.observed_at_utc < units.to_at_utc)
