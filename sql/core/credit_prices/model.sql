-- A price applies to credits only: if an account turns out to be in a currency, it has no effect. Days on which the
-- account was in credits keep their price.
select
    -- ids
    prices.account_id,
    counted.unit_code,
    prices.from_date,
    cast(
        lead(prices.from_date) over (
            partition by prices.account_id, counted.unit_code
            order by prices.from_date
        ) - interval 1 day as date
    ) as to_date,

    -- the price
    prices.price_amount,
    prices.price_unit_code
from staging.credit_prices as prices
inner join (
    select distinct
        account_id,
        unit_code
    from core.account_units
    where unit_code like '%-%'
) as counted on prices.account_id = counted.account_id
