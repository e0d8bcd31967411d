-- Orders due within 7 days, today included: with tax if the rate is known, and in the reporting currency by the price of
-- a credit and the exchange rates of the balance's day. The arithmetic is on whole billionths, and exact.
with
due as (
    select status.account_id, status.order_by_date, status.topup_amount, status.topup_gross_amount,
        coalesce(status.topup_gross_amount, status.topup_amount) as pay_amount, status.unit_code, status.reading_state,
        status.reporting_unit_code, cast(status.observed_at_utc at time zone 'UTC' as date) as read_date
    from marts.account_status as status
    where status.topup_amount > 0
        -- Two names for one account at its vendor are topped up once.
        and status.account_id not in (select account_id from core.accounts where same_as_account_id is not null)
        and status.order_by_date < (
            select cast(cast(value as timestamptz) at time zone 'UTC' as date) + 7
            from marts.build_info
            where item = 'as_of_utc'
        )
),
priced as (
    select due.*, coalesce(price.price_unit_code, due.unit_code) as price_unit_code,
        case
            when price.price_amount is null then due.pay_amount
            else cast(
                try_cast(due.pay_amount as decimal(19, 9)) * try_cast(price.price_amount as decimal(19, 9))
                as decimal(38, 9)
            )
        end as priced_amount
    from due
    left join core.credit_prices as price
        on due.account_id = price.account_id and due.read_date >= price.from_date
            and (price.to_date is null or due.read_date <= price.to_date)
),
rated as (
    select priced.*, rate.fx_rate_date,
        cast(cast(try_cast(priced_amount as decimal(19, 9)) as decimal(28, 9)) * 1000000000 as hugeint) as billionths,
        cast(cast(rate.reporting_eur_rate as decimal(28, 9)) * 1000000000 as hugeint) as reporting_rate,
        cast(cast(rate.eur_rate as decimal(28, 9)) * 1000000000 as hugeint) as own_rate
    from priced
    left join core.conversion_rates as rate
        on priced.price_unit_code = rate.unit_code and priced.read_date = rate.conversion_date
)
select account_id, order_by_date, topup_amount, topup_gross_amount, pay_amount, unit_code, reading_state,
    case
        when price_unit_code = reporting_unit_code then priced_amount
        else cast(
            try_cast((2 * billionths * reporting_rate + own_rate) // nullif(2 * own_rate, 0) as decimal(29, 0))
            * cast(0.000000001 as decimal(9, 9)) as decimal(38, 9)
        )
    end as reporting_amount,
    reporting_unit_code
from rated
order by order_by_date, account_id
