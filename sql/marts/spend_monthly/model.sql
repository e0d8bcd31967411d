-- A month is complete when each of its days was observed and is complete, in all units that the account had.
with

days as (
    select
        account_id,
        spend_date,
        bool_and(is_complete) as is_complete
    from core.spend_daily
    group by account_id, spend_date
),

months as (
    select
        account_id,
        cast(date_trunc('month', spend_date) as date) as spend_month,
        count(case when is_complete then 1 end)
        = extract(day from last_day(cast(date_trunc('month', spend_date) as date))) as is_complete
    from days
    group by account_id, cast(date_trunc('month', spend_date) as date)
),

summed as (
    select
        account_id,
        cast(date_trunc('month', spend_date) as date) as spend_month,
        unit_code,
        reporting_unit_code,
        basis,
        evidence_level,
        sum(spend_amount) as spend_amount,
        case when count(reporting_amount) = count(*) then sum(reporting_amount) end as reporting_amount,
        bool_or(is_lower_bound) as is_lower_bound
    from core.spend_daily
    group by
        account_id,
        cast(date_trunc('month', spend_date) as date),
        unit_code,
        reporting_unit_code,
        basis,
        evidence_level
)

select
    -- ids
    summed.account_id,
    summed.spend_month,

    -- amounts
    cast(summed.spend_amount as decimal(38, 9)) as spend_amount,
    summed.unit_code,
    cast(summed.reporting_amount as decimal(38, 9)) as reporting_amount,
    summed.reporting_unit_code,

    -- evidence
    summed.basis,
    summed.evidence_level,
    months.is_complete,
    summed.is_lower_bound,

    -- owner
    accounts.team
from summed
inner join months on summed.account_id = months.account_id and summed.spend_month = months.spend_month
left join core.accounts as accounts on summed.account_id = accounts.account_id
