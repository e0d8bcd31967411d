-- The unit in which a charge is priced in FOCUS: a currency, the name of the account's credits, or another unit's code.
create or replace macro core.pricing_currency(is_currency, unit_code, account_unit_code, account_currency) as
case
    when is_currency then unit_code
    when unit_code = account_unit_code then account_currency
    else unit_code
end
