-- A month is complete when each of its days was observed and is complete.
select
    -- ids
    account_id,
    cast(date_trunc('month', spend_date) as date) as spend_month,

    -- amounts
    cast(sum(spend_amount) as decimal(38, 9)) as spend_amount,
    unit_code,
    case when count(reporting_amount) = count(*) then cast(sum(reporting_amount) as decimal(38, 9)) end
        as reporting_amount,
    reporting_unit_code,

    -- how well it is known
    basis,
    evidence_level,
    count(case when is_complete then 1 end)
    = extract(day from last_day(cast(date_trunc('month', spend_date) as date))) as is_complete,
    bool_or(is_lower_bound) as is_lower_bound
from core.spend_daily
group by
    account_id,
    cast(date_trunc('month', spend_date) as date),
    unit_code,
    reporting_unit_code,
    basis,
    evidence_level
