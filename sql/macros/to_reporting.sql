-- The one rule by which an amount is converted: credits become money by the price of a credit, and money becomes the
-- reporting currency by way of the euro. NULL where it cannot be converted.
create or replace macro core.to_reporting(
    amount, unit_code, reporting_unit_code, price_amount, price_unit_code, eur_rate, reporting_eur_rate
) as
case
    when coalesce(price_unit_code, unit_code) = reporting_unit_code then core.at_price(amount, price_amount)
    else core.at_rate(core.at_price(amount, price_amount), eur_rate, reporting_eur_rate)
end
