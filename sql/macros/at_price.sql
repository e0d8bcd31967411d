-- An amount of credits as money, by the price of one credit; an amount without a price is money already. From ten
-- digits before the point on the product might not fit: NULL.
create or replace macro core.at_price(amount, price_amount) as
case
    when price_amount is null then amount
    else cast(try_cast(amount as decimal(19, 9)) * try_cast(price_amount as decimal(19, 9)) as decimal(38, 9))
end
