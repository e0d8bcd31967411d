-- Known charges are those of the newest complete listing and of later pages: an item that is no longer listed will not
-- be charged. A charge whose day is past is no longer ahead, whether it was made or not.
with

walks as (
    select
        fetches.account_id,
        min(fetches.fetch_id) as first_fetch_id,
        bool_or(fetches.is_complete) as is_complete,
        sum(loads.received_rows) as received_rows,
        sum(loads.accepted_rows) as accepted_rows
    from staging.fetches as fetches
    inner join staging.loads as loads on fetches.fetch_id = loads.fetch_id
    where loads.record_kind = 'known_charges'
    group by fetches.account_id, fetches.endpoint, fetches.run_id
),

newest as (
    select
        account_id,
        max(first_fetch_id) as first_fetch_id
    from walks
    -- A listing without a readable row does not prove that nothing will be charged.
    where is_complete and (accepted_rows > 0 or received_rows = 0)
    group by account_id
)

select
    -- ids
    charges.account_id,
    core.utc_date(charges.due_at_utc) as due_date,
    charges.charge_id,
    charges.due_at_utc,

    -- amounts
    charges.charge_amount,
    coalesce(charges.unit_code, units.unit_code) as unit_code,
    charges.cycle_months,

    -- description
    charges.description,
    charges.is_automatic,

    -- source
    charges.observed_at_utc,
    charges.fetch_id
from staging.known_charges as charges
inner join core.account_units as units
    on
        charges.account_id = units.account_id
        and charges.observed_at_utc >= units.from_at_utc
        and (units.to_at_utc is null or charges.observed_at_utc < units.to_at_utc)
cross join staging.build as build
left join newest on charges.account_id = newest.account_id
where
    (newest.first_fetch_id is null or charges.fetch_id >= newest.first_fetch_id)
    and core.utc_date(charges.due_at_utc) >= core.utc_date(build.as_of_utc)
