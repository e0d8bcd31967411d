-- A month is complete when each of its days was observed and is complete.
select
    -- ids
    spend.account_id,
    cast(date_trunc('month', spend.spend_date) as date) as spend_month,

    -- amounts
    cast(sum(spend.spend_amount) as decimal(38, 9)) as spend_amount,
    spend.unit_code,
    case when count(spend.reporting_amount) = count(*) then cast(sum(spend.reporting_amount) as decimal(38, 9)) end
        as reporting_amount,
    spend.reporting_unit_code,

    -- how well it is known
    spend.basis,
    spend.evidence_level,
    count(case when spend.is_complete then 1 end)
    = extract(day from last_day(cast(date_trunc('month', spend.spend_date) as date))) as is_complete,
    bool_or(spend.is_lower_bound) as is_lower_bound,

    -- whose it is
    accounts.team
from core.spend_daily as spend
left join core.accounts as accounts on spend.account_id = accounts.account_id
group by
    spend.account_id,
    cast(date_trunc('month', spend.spend_date) as date),
    spend.unit_code,
    spend.reporting_unit_code,
    spend.basis,
    spend.evidence_level,
    accounts.team
