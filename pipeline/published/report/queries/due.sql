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
converted as (
    select due.*,
        core.to_reporting(
            due.pay_amount, due.unit_code, due.reporting_unit_code,
            prices.price_amount, prices.price_unit_code, rates.eur_rate, rates.reporting_eur_rate
        ) as reporting_amount
    from due
    left join core.credit_prices as prices
        on
            due.account_id = prices.account_id
            and due.unit_code = prices.unit_code
            and due.read_date >= prices.from_date
            and due.read_date <= core.open_end(prices.to_date)
    left join core.conversion_rates as rates
        on
            coalesce(prices.price_unit_code, due.unit_code) = rates.unit_code
            and due.read_date = rates.conversion_date
)
select account_id, order_by_date, topup_amount, topup_gross_amount, pay_amount, unit_code, reading_state, reporting_amount,
    reporting_unit_code
from converted
order by order_by_date, account_id
