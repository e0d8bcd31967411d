-- A plan is compared on its complete days: their spend, and as many days of the mean spend before the plan. The issued
-- forecast is for all days of the plan, so it compares with spent_amount once all of them are complete.
with

plans as (
    select
        planned.account_id,
        planned.plan_number,
        planned.from_date,
        planned.to_date,
        planned.note,
        planned.planned_amount,
        planned.multiplier,
        planned.unit_code,
        planned.to_date - planned.from_date + 1 as day_count,
        case
            when planned.from_date > core.utc_date(build.as_of_utc) then 'coming'
            when planned.to_date < core.utc_date(build.as_of_utc) then 'over'
            else 'running'
        end as state
    from core.planned_spend as planned
    cross join staging.build as build
),

spent as (
    select
        plans.account_id,
        plans.plan_number,
        count(*) as complete_day_count,
        sum(spend.spend_amount) as spent_amount
    from plans
    inner join core.spend_daily as spend
        on
            plans.account_id = spend.account_id
            and plans.unit_code = spend.unit_code
            and plans.from_date <= spend.spend_date
            and plans.to_date >= spend.spend_date
    where spend.is_complete
    group by plans.account_id, plans.plan_number
),

before as (
    select
        plans.account_id,
        plans.plan_number,
        count(*) as day_count,
        sum(spend.spend_amount) as spent_amount
    from plans
    inner join core.spend_daily as spend
        on
            plans.account_id = spend.account_id
            and plans.unit_code = spend.unit_code
            and plans.from_date > spend.spend_date
            and plans.from_date - 28 <= spend.spend_date
    where spend.is_complete
    group by plans.account_id, plans.plan_number
),

compared as (
    select
        plans.*,
        coalesce(spent.complete_day_count, 0) as complete_day_count,
        spent.spent_amount,
        core.mean_of(before.spent_amount * cast(spent.complete_day_count as decimal(9, 0)), before.day_count)
            as usual_amount
    from plans
    left join spent on plans.account_id = spent.account_id and plans.plan_number = spent.plan_number
    left join before on plans.account_id = before.account_id and plans.plan_number = before.plan_number
)

select
    -- ids
    compared.account_id,
    compared.plan_number,
    compared.from_date,
    compared.to_date,
    compared.note,
    compared.state,

    -- the plan
    compared.planned_amount,
    compared.multiplier,
    compared.unit_code,
    compared.day_count,

    -- its complete days
    compared.complete_day_count,
    compared.usual_amount,
    compared.spent_amount,
    compared.spent_amount - compared.usual_amount as extra_amount,
    case
        when compared.complete_day_count = 0 then null
        when compared.multiplier is null
            then core.mean_of(
                compared.planned_amount * cast(compared.complete_day_count as decimal(9, 0)), compared.day_count
            )
        else cast(cast(compared.usual_amount as decimal(29, 9)) * (compared.multiplier - 1) as decimal(38, 9))
    end as planned_extra_amount,

    -- the issued forecast
    totals.p10_amount,
    totals.p50_amount,
    totals.p90_amount
from compared
left join forecasts.cost_total as totals
    on
        compared.account_id = totals.account_id
        and compared.unit_code = totals.unit_code
        and compared.from_date = totals.issue_date
        and compared.day_count = totals.horizon_days
