-- A failed attempt is an unknown reading, without an amount: absent is not zero.
select
    -- ids
    readings.account_id,
    readings.observed_at_utc,

    -- amounts
    readings.balance_amount,
    coalesce(readings.unit_code, units.unit_code) as unit_code,
    readings.threshold_amount,
    readings.limit_amount,
    readings.unconfirmed_amount,
    readings.resets_at_utc,
    readings.quota_amount,
    readings.is_cut_off,

    -- source
    'fresh' as reading_state,
    readings.effective_at_utc,
    readings.fetch_id
from staging.readings as readings
inner join core.account_units as units
    on
        readings.account_id = units.account_id
        and readings.observed_at_utc >= units.from_at_utc
        and (units.to_at_utc is null or readings.observed_at_utc < units.to_at_utc)
union all
select
    -- ids
    attempts.account_id,
    attempts.fetched_at_utc as observed_at_utc,

    -- amounts
    cast(null as decimal(38, 9)) as balance_amount,
    min(units.unit_code) as unit_code,
    cast(null as decimal(38, 9)) as threshold_amount,
    cast(null as decimal(38, 9)) as limit_amount,
    cast(null as decimal(38, 9)) as unconfirmed_amount,
    cast(null as timestamptz) as resets_at_utc,
    cast(null as decimal(38, 9)) as quota_amount,
    cast(null as boolean) as is_cut_off,

    -- source
    'unknown' as reading_state,
    cast(null as timestamptz) as effective_at_utc,
    max(attempts.fetch_id) as fetch_id
from staging.fetches as attempts
inner join core.accounts as accounts
    on attempts.account_id = accounts.account_id and attempts.vendor = accounts.vendor
inner join core.account_units as units
    on
        attempts.account_id = units.account_id
        and attempts.fetched_at_utc >= units.from_at_utc
        and (units.to_at_utc is null or attempts.fetched_at_utc < units.to_at_utc)
left join staging.loads as loads on attempts.fetch_id = loads.fetch_id and loads.record_kind = 'balances'
left join staging.balances as balances
    on attempts.account_id = balances.account_id and attempts.fetched_at_utc = balances.observed_at_utc
where attempts.is_reading and coalesce(loads.accepted_rows, 0) = 0 and balances.account_id is null
group by attempts.account_id, attempts.fetched_at_utc
