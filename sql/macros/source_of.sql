-- How an amount in the reporting currency came about: a value of the column fx_source.
create or replace macro core.source_of(
    converted_amount, unit_code, reporting_unit_code, price_unit_code, rate_source
) as
case
    when converted_amount is null then null
    when price_unit_code = reporting_unit_code then 'credit_price'
    when price_unit_code is not null then 'credit_price+' || rate_source
    when unit_code = reporting_unit_code then 'same_unit'
    else rate_source
end
