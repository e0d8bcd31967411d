-- Amounts that could not be converted are listed by unit, and never part of the total. Two accounts with an unknown
-- unit may have different ones, so they are listed separately. Two names for one account at its vendor count once.
with

accounts as (
    select
        status.*,
        status.balance_amount is not null and status.reporting_balance_amount is null as is_unconverted
    from marts.account_status as status
    left join core.accounts as accounts on status.account_id = accounts.account_id
    where accounts.same_as_account_id is null
),

left_over as (
    select
        unit_code,
        case when unit_code = 'unknown' then account_id end as account_id,
        sum(balance_amount) as balance_amount
    from accounts
    where is_unconverted
    group by unit_code, case when unit_code = 'unknown' then account_id end
),

named as (
    select
        string_agg(
            rtrim(rtrim(cast(cast(balance_amount as decimal(38, 9)) as varchar), '0'), '.') || ' ' || unit_code,
            ', ' order by unit_code, account_id
        ) as unconverted_balances
    from left_over
),

counted as (
    select
        count(*) as account_count,
        count(reporting_balance_amount) as converted_account_count,
        count(case when is_unconverted then 1 end) as unconverted_account_count,
        count(reporting_burn_28d_amount) as burn_account_count,
        count(case when balance_amount is null then 1 end) as unread_account_count,
        count(case when balance_amount is not null and reading_state = 'stale' then 1 end) as stale_account_count,
        sum(reporting_balance_amount) as reporting_balance_amount,
        sum(reporting_burn_28d_amount) as reporting_burn_28d_amount,
        count(case when severity = 'ok' then 1 end) as ok_account_count,
        count(case when severity = 'watch' then 1 end) as watch_account_count,
        count(case when severity = 'warning' then 1 end) as warning_account_count,
        count(case when severity = 'critical' then 1 end) as critical_account_count,
        count(case when severity = 'unknown' then 1 end) as unknown_account_count,
        min(fx_rate_date) as oldest_fx_rate_date,
        count(case when has_old_rate then 1 end) as old_rate_account_count
    from accounts
)

select
    build.reporting_unit_code,

    -- accounts
    counted.account_count,
    counted.converted_account_count,
    counted.unconverted_account_count,
    counted.burn_account_count,
    counted.unread_account_count,
    counted.stale_account_count,

    -- money
    cast(counted.reporting_balance_amount as decimal(38, 9)) as reporting_balance_amount,
    cast(counted.reporting_burn_28d_amount as decimal(38, 9)) as reporting_burn_28d_amount,
    coalesce(named.unconverted_balances, '') as unconverted_balances,

    -- severities
    counted.ok_account_count,
    counted.watch_account_count,
    counted.warning_account_count,
    counted.critical_account_count,
    counted.unknown_account_count,

    -- rates
    counted.oldest_fx_rate_date,
    counted.old_rate_account_count
from counted
cross join named
cross join staging.build as build
