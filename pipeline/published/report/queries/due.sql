-- Orders due within $due_days days, today included: with tax if the rate is known, and in the reporting currency by the
-- price of a credit and the exchange rates of the balance's day.
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
            select cast(cast(value as timestamptz) at time zone 'UTC' as date) + $due_days
            from marts.build_info
            where item = 'as_of_utc'
        )
),
priced as (
    select due.*, coalesce(price.price_unit_code, due.unit_code) as price_unit_code,
        core.at_price(due.pay_amount, price.price_amount) as priced_amount
    from due
    left join core.credit_prices as price
        on due.account_id = price.account_id and due.unit_code = price.unit_code and due.read_date >= price.from_date
            and due.read_date <= core.open_end(price.to_date)
),
rated as (
    select priced.*, rate.eur_rate, rate.reporting_eur_rate
    from priced
    left join core.conversion_rates as rate
        on priced.price_unit_code = rate.unit_code and priced.read_date = rate.conversion_date
)
select account_id, order_by_date, topup_amount, topup_gross_amount, pay_amount, unit_code, reading_state,
    case
        when price_unit_code = reporting_unit_code then priced_amount
        else core.at_rate(priced_amount, eur_rate, reporting_eur_rate)
    end as reporting_amount,
    reporting_unit_code
from rated
order by order_by_date, account_id
