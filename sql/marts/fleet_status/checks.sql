-- warn is_converted: Every balance is in the fleet's total, converted.
with

unconverted as (
    select
        account_id,
        unit_code,
        reporting_unit_code,
        core.utc_date(observed_at_utc) as balance_date
    from marts.account_status
    where balance_amount is not null and reporting_balance_amount is null
),

newest_rates as (
    select max(rate_date) as newest_date from core.fx_rates
),

limits as (
    select cast(max(fx_oldest_days) as integer) as oldest_days from staging.build
)

select
    unconverted.account_id,
    case
        when unconverted.unit_code = 'unknown' then 'its unit is unknown'
        when unconverted.unit_code like '%-%' and prices.price_unit_code is null
            then
                'accounts.toml names no price of a ' || unconverted.unit_code || ' for '
                || cast(unconverted.balance_date as varchar)
        when rates.unit_code is null
            then
                'no rate from ' || coalesce(prices.price_unit_code, unconverted.unit_code) || ' to '
                || unconverted.reporting_unit_code
                || coalesce(' in the ' || cast(limits.oldest_days as varchar) || ' days up to ', ' up to ')
                || cast(unconverted.balance_date as varchar) || '; '
                || coalesce(
                    'the newest landed rate is of ' || cast(newest_rates.newest_date as varchar), 'no rate is landed'
                )
        else 'the amount has more digits than can be converted exactly'
    end as message
from unconverted
cross join newest_rates
cross join limits
left join core.credit_prices as prices
    on
        unconverted.account_id = prices.account_id
        and unconverted.unit_code = prices.unit_code
        and unconverted.balance_date >= prices.from_date
        and unconverted.balance_date <= core.open_end(prices.to_date)
left join core.conversion_rates as rates
    on
        coalesce(prices.price_unit_code, unconverted.unit_code) = rates.unit_code
        and unconverted.balance_date = rates.conversion_date
order by unconverted.account_id;

-- warn has_current_rates: Every balance is converted at a rate of at most 7 days before it.
select
    account_id,
    'converted at a rate of ' || cast(fx_rate_date as varchar) || ', more than 7 days before the balance of '
    || cast(cast(observed_at_utc at time zone 'UTC' as date) as varchar) as message
from marts.account_status
where has_old_rate
order by account_id
