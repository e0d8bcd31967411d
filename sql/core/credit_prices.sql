-- A price is one of credits: where a vendor turns out to count in a currency, what a credit cost says nothing.
select
    -- ids
    prices.account_id,
    prices.from_date,
    cast(
        lead(prices.from_date) over (partition by prices.account_id order by prices.from_date) - interval 1 day as date
    ) as to_date,

    -- the price
    prices.price_amount,
    prices.price_unit_code
from staging.credit_prices as prices
inner join core.accounts as accounts on prices.account_id = accounts.account_id
where accounts.unit_code like '%-%'
