-- A failed attempt is an unknown reading, without an amount: absent is not zero.
select
    -- ids
    balances.account_id,
    balances.observed_at_utc,

    -- amounts
    balances.balance_amount,
    coalesce(balances.unit_code, units.unit_code) as unit_code,
    balances.threshold_amount,
    balances.limit_amount,
    balances.unconfirmed_amount,

    -- source
    'fresh' as reading_state,
    balances.effective_at_utc,
    balances.fetch_id
from staging.balances as balances
inner join core.accounts as accounts on balances.account_id = accounts.account_id
inner join core.account_units as units
    on
        balances.account_id = units.account_id
        and balances.observed_at_utc >= units.from_at_utc
        and (units.to_at_utc is null or balances.observed_at_utc < units.to_at_utc)
-- Of two vendors' readings at the same instant, that of the account's own vendor precedes any other, such as one kept
-- by hand. Each side of a comparison uses columns of one side of the join, so that DuckDB can hash it.
left join (
    select
        others.account_id,
        others.observed_at_utc,
        coalesce(nullif(others.vendor, owners.vendor), '') as foreign_vendor
    from staging.balances as others
    inner join core.accounts as owners on others.account_id = owners.account_id
) as other
    on
        balances.account_id = other.account_id
        and balances.observed_at_utc = other.observed_at_utc
        and nullif(balances.vendor, accounts.vendor) > other.foreign_vendor
where other.account_id is null
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
