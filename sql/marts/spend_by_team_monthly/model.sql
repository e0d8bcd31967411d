-- Amounts are added within one unit only. Accounts with an unknown unit may have different ones, so several of them
-- have no sum. Two names for one account at its vendor count once.
with

months as (
    select
        coalesce(spend.team, 'unassigned') as team,
        spend.account_id,
        spend.spend_month,
        spend.spend_amount,
        spend.unit_code,
        spend.reporting_amount,
        spend.reporting_unit_code,
        spend.is_complete,
        spend.is_lower_bound
    from marts.spend_monthly as spend
    left join core.accounts as accounts on spend.account_id = accounts.account_id
    where accounts.same_as_account_id is null
),

summed as (
    select
        team,
        spend_month,
        unit_code,
        reporting_unit_code,
        unit_code <> 'unknown' or count(distinct account_id) = 1 as has_one_unit,
        sum(spend_amount) as spend_amount,
        case when count(reporting_amount) = count(*) then sum(reporting_amount) end as reporting_amount,
        sum(case when reporting_amount is null then spend_amount else 0 end) as unconverted_amount,
        count(distinct account_id) as account_count,
        bool_and(is_complete) as is_complete,
        bool_or(is_lower_bound) as is_lower_bound
    from months
    group by team, spend_month, unit_code, reporting_unit_code
)

select
    -- ids
    team,
    spend_month,

    -- amounts
    case when has_one_unit then cast(spend_amount as decimal(38, 9)) end as spend_amount,
    unit_code,
    cast(reporting_amount as decimal(38, 9)) as reporting_amount,
    reporting_unit_code,
    case when has_one_unit then cast(unconverted_amount as decimal(38, 9)) end as unconverted_amount,

    -- evidence
    account_count,
    is_complete,
    is_lower_bound
from summed
