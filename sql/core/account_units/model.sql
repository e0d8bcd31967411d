-- The unit of an account's balance over time: consecutive good readings in one unit form a span, the first span reaches
-- back to the beginning and the newest has no end. A reading without a unit has the last unit that the vendor named, or
-- before that the unit that the owner configured, or else the unit in the file kept by hand.
with

first_named as (
    select
        balances.account_id,
        min(balances.observed_at_utc) as named_at_utc
    from staging.balances as balances
    inner join staging.accounts as accounts
        on balances.account_id = accounts.account_id and balances.vendor = accounts.vendor
    where balances.unit_code is not null
    group by balances.account_id
),

counted as (
    select
        balances.account_id,
        coalesce(balances.unit_code, accounts.unit_code) as unit_code
    from staging.balances as balances
    inner join staging.accounts as accounts on balances.account_id = accounts.account_id
    left join first_named on balances.account_id = first_named.account_id
    where
        balances.unit_code is not null
        or (
            accounts.unit_code is not null
            and (first_named.account_id is null or balances.observed_at_utc < first_named.named_at_utc)
        )
    group by balances.account_id, coalesce(balances.unit_code, accounts.unit_code)
),

-- Only the readings of these need to be sorted.
switched as (
    select account_id
    from counted
    group by account_id
    having count(*) > 1
),

readings as (
    select
        readings.account_id,
        readings.observed_at_utc,
        coalesce(readings.unit_code, accounts.unit_code) as unit_code
    from staging.readings as readings
    inner join switched on readings.account_id = switched.account_id
    inner join staging.accounts as accounts on readings.account_id = accounts.account_id
    left join first_named on readings.account_id = first_named.account_id
    where
        readings.unit_code is not null
        or (
            accounts.unit_code is not null
            and (first_named.account_id is null or readings.observed_at_utc < first_named.named_at_utc)
        )
),

with_previous_unit as (
    select
        account_id,
        observed_at_utc,
        unit_code,
        lag(unit_code) over (partition by account_id order by observed_at_utc) as unit_before_code
    from readings
),

spans as (
    select
        account_id,
        case
            when unit_before_code is null then cast('1970-01-01 00:00:00+00' as timestamptz)
            else observed_at_utc
        end as from_at_utc,
        unit_code
    from with_previous_unit
    where unit_before_code is null or unit_before_code <> unit_code
    union all
    select
        accounts.account_id,
        cast('1970-01-01 00:00:00+00' as timestamptz) as from_at_utc,
        coalesce(counted.unit_code, accounts.unit_code, 'unknown') as unit_code
    from staging.accounts as accounts
    left join counted on accounts.account_id = counted.account_id
    left join switched on accounts.account_id = switched.account_id
    where switched.account_id is null
)

select
    account_id,
    from_at_utc,
    lead(from_at_utc) over (partition by account_id order by from_at_utc) as to_at_utc,
    unit_code
from spans
