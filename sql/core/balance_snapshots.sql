-- A failed attempt stands as unknown, without an amount: absent is not zero.
select
    -- ids
    balances.account_id,
    balances.observed_at_utc,

    -- amounts
    balances.balance_amount,
    coalesce(balances.unit_code, accounts.unit_code) as unit_code,
    balances.threshold_amount,
    balances.limit_amount,
    balances.unconfirmed_amount,

    -- where it came from
    'fresh' as reading_state,
    balances.effective_at_utc,
    balances.fetch_id
from staging.balances as balances
inner join core.accounts as accounts on balances.account_id = accounts.account_id
-- Where a reading kept by hand and the vendor's own are of the same instant, the vendor's stands.
left join staging.balances as own
    on
        balances.account_id = own.account_id
        and balances.observed_at_utc = own.observed_at_utc
        and accounts.vendor = own.vendor
        and balances.vendor <> own.vendor
where own.account_id is null
union all
select
    -- ids
    attempts.account_id,
    attempts.fetched_at_utc as observed_at_utc,

    -- amounts
    cast(null as decimal(38, 9)) as balance_amount,
    min(accounts.unit_code) as unit_code,
    cast(null as decimal(38, 9)) as threshold_amount,
    cast(null as decimal(38, 9)) as limit_amount,
    cast(null as decimal(38, 9)) as unconfirmed_amount,

    -- where it came from
    'unknown' as reading_state,
    cast(null as timestamptz) as effective_at_utc,
    max(attempts.fetch_id) as fetch_id
from staging.fetches as attempts
inner join core.accounts as accounts
    on attempts.account_id = accounts.account_id and attempts.vendor = accounts.vendor
left join staging.loads as loads on attempts.fetch_id = loads.fetch_id and loads.record_kind = 'balances'
left join staging.balances as balances
    on attempts.account_id = balances.account_id and attempts.fetched_at_utc = balances.observed_at_utc
where attempts.is_reading and coalesce(loads.accepted_rows, 0) = 0 and balances.account_id is null
group by attempts.account_id, attempts.fetched_at_utc
