-- The running month is forecasts.current_month_outlook, and every other month is as spent. Spend of the running month
-- in a unit that the account is no longer held in is a row of its own, without a forecast.
with

running as (
    select cast(date_trunc('month', core.utc_date(as_of_utc)) as date) as running_month
    from staging.build
),

spent_by_account as (
    select
        spend.account_id,
        spend.spend_month,
        spend.unit_code,
        spend.reporting_unit_code,
        sum(spend.spend_amount) as spent_amount,
        case when count(spend.reporting_amount) = count(*) then sum(spend.reporting_amount) end
            as reporting_spent_amount
    from marts.spend_monthly as spend
    group by spend.account_id, spend.spend_month, spend.unit_code, spend.reporting_unit_code
),

counted as (
    select
        spent.*,
        coalesce(accounts.team, 'unassigned') as team
    from spent_by_account as spent
    left join core.accounts as accounts on spent.account_id = accounts.account_id
    cross join running
    where accounts.same_as_account_id is null and spent.spend_month < running.running_month
),

spent as (
    select
        'account' as scope,
        spent.account_id as scope_id,
        spent.spend_month,
        spent.unit_code,
        spent.reporting_unit_code,
        spent.spent_amount,
        spent.reporting_spent_amount,
        1 as account_count,
        case when spent.reporting_spent_amount is not null then 1 else 0 end as converted_account_count
    from spent_by_account as spent
    cross join running
    left join forecasts.current_month_outlook as outlook
        on
            outlook.scope = 'account'
            and spent.account_id = outlook.scope_id
            and spent.unit_code = outlook.unit_code
            and spent.spend_month = outlook.spend_month
    where spent.spend_month <= running.running_month and outlook.scope_id is null
    union all
    select
        'team' as scope,
        team as scope_id,
        spend_month,
        reporting_unit_code as unit_code,
        reporting_unit_code,
        coalesce(sum(reporting_spent_amount), 0) as spent_amount,
        coalesce(sum(reporting_spent_amount), 0) as reporting_spent_amount,
        count(distinct account_id) as account_count,
        count(distinct case when reporting_spent_amount is not null then account_id end) as converted_account_count
    from counted
    group by team, spend_month, reporting_unit_code
    union all
    select
        'fleet' as scope,
        '*' as scope_id,
        spend_month,
        reporting_unit_code as unit_code,
        reporting_unit_code,
        coalesce(sum(reporting_spent_amount), 0) as spent_amount,
        coalesce(sum(reporting_spent_amount), 0) as reporting_spent_amount,
        count(distinct account_id) as account_count,
        count(distinct case when reporting_spent_amount is not null then account_id end) as converted_account_count
    from counted
    group by spend_month, reporting_unit_code
),

-- Spend of accounts with a budget in a third currency: by the rates of each day, by way of the reporting currency.
in_budgets as (
    select
        spend.account_id,
        cast(date_trunc('month', spend.spend_date) as date) as spend_month,
        spend.unit_code,
        budgets.budget_unit_code,
        core.at_rate(spend.reporting_amount, rates.reporting_eur_rate, rates.eur_rate) as budget_spent_amount,
        rates.fx_rate_date
    from core.spend_daily as spend
    inner join core.budgets as budgets
        on
            budgets.scope = 'account'
            and spend.account_id = budgets.scope_id
            and cast(date_trunc('month', spend.spend_date) as date) >= budgets.from_month
            and cast(date_trunc('month', spend.spend_date) as date) <= core.open_end(budgets.to_month)
    left join core.conversion_rates as rates
        on budgets.budget_unit_code = rates.unit_code and spend.spend_date = rates.conversion_date
    where budgets.budget_unit_code not in (spend.unit_code, spend.reporting_unit_code)
),

converted as (
    select
        account_id,
        spend_month,
        unit_code,
        budget_unit_code,
        case when count(budget_spent_amount) = count(*) then sum(budget_spent_amount) end as budget_spent_amount,
        case when count(budget_spent_amount) = count(*) then max(fx_rate_date) end as budget_fx_rate_date
    from in_budgets
    group by account_id, spend_month, unit_code, budget_unit_code
),

budgeted as (
    select
        spent.*,
        spent.spend_month < running.running_month as is_over,
        budgets.budget_amount,
        budgets.budget_unit_code,
        case budgets.budget_unit_code
            when spent.unit_code then spent.spent_amount
            when spent.reporting_unit_code then spent.reporting_spent_amount
            else converted.budget_spent_amount
        end as budget_spent_amount,
        converted.budget_fx_rate_date
    from spent
    cross join running
    left join core.budgets as budgets
        on
            spent.scope = budgets.scope
            and spent.scope_id = budgets.scope_id
            and spent.spend_month >= budgets.from_month
            and spent.spend_month <= core.open_end(budgets.to_month)
    left join converted
        on
            spent.scope = 'account'
            and spent.scope_id = converted.account_id
            and spent.spend_month = converted.spend_month
            and spent.unit_code = converted.unit_code
            and budgets.budget_unit_code = converted.budget_unit_code
),

months as (
    select
        scope,
        scope_id,
        spend_month,
        case when is_over then 'over' else 'running' end as month_state,
        spent_amount,
        case when is_over then 0 end as rest_p10_amount,
        case when is_over then 0 end as rest_p50_amount,
        case when is_over then 0 end as rest_p90_amount,
        case when is_over then spent_amount end as total_p10_amount,
        case when is_over then spent_amount end as total_p50_amount,
        case when is_over then spent_amount end as total_p90_amount,
        unit_code,
        reporting_spent_amount,
        case when is_over then reporting_spent_amount end as reporting_total_p50_amount,
        reporting_unit_code,
        budget_amount,
        budget_unit_code,
        budget_spent_amount,
        case
            when budget_spent_amount > budget_amount then 1.0
            when is_over and budget_spent_amount is not null then 0.0
        end as over_budget_probability,
        cast(null as date) as budget_used_up_date,
        budget_fx_rate_date,
        0 as open_day_count,
        0 as missing_day_count,
        account_count,
        0 as forecast_account_count,
        converted_account_count
    from budgeted
    union all
    select
        scope,
        scope_id,
        spend_month,
        'running' as month_state,
        spent_amount,
        rest_p10_amount,
        rest_p50_amount,
        rest_p90_amount,
        total_p10_amount,
        total_p50_amount,
        total_p90_amount,
        unit_code,
        reporting_spent_amount,
        reporting_total_p50_amount,
        reporting_unit_code,
        budget_amount,
        budget_unit_code,
        budget_spent_amount,
        over_budget_probability,
        budget_used_up_date,
        budget_fx_rate_date,
        open_day_count,
        missing_day_count,
        account_count,
        forecast_account_count,
        converted_account_count
    from forecasts.current_month_outlook
),

issued as (
    select
        scope,
        scope_id,
        spend_month,
        unit_code,
        arg_max(
            case when extract(day from issue_date) <= 1 then total_p10_amount end, issue_date
        ) as day_1_total_p10_amount,
        arg_max(
            case when extract(day from issue_date) <= 1 then total_p50_amount end, issue_date
        ) as day_1_total_p50_amount,
        arg_max(
            case when extract(day from issue_date) <= 1 then total_p90_amount end, issue_date
        ) as day_1_total_p90_amount,
        arg_max(
            case when extract(day from issue_date) <= 7 then total_p10_amount end, issue_date
        ) as day_7_total_p10_amount,
        arg_max(
            case when extract(day from issue_date) <= 7 then total_p50_amount end, issue_date
        ) as day_7_total_p50_amount,
        arg_max(
            case when extract(day from issue_date) <= 7 then total_p90_amount end, issue_date
        ) as day_7_total_p90_amount,
        arg_max(
            case when extract(day from issue_date) <= 14 then total_p10_amount end, issue_date
        ) as day_14_total_p10_amount,
        arg_max(
            case when extract(day from issue_date) <= 14 then total_p50_amount end, issue_date
        ) as day_14_total_p50_amount,
        arg_max(
            case when extract(day from issue_date) <= 14 then total_p90_amount end, issue_date
        ) as day_14_total_p90_amount,
        arg_max(
            case when extract(day from issue_date) <= 21 then total_p10_amount end, issue_date
        ) as day_21_total_p10_amount,
        arg_max(
            case when extract(day from issue_date) <= 21 then total_p50_amount end, issue_date
        ) as day_21_total_p50_amount,
        arg_max(
            case when extract(day from issue_date) <= 21 then total_p90_amount end, issue_date
        ) as day_21_total_p90_amount
    from forecasts.month_outlook
    group by scope, scope_id, spend_month, unit_code
)

select
    -- ids
    months.scope,
    months.scope_id,
    months.spend_month,
    months.month_state,

    -- the month
    cast(months.spent_amount as decimal(38, 9)) as spent_amount,
    cast(months.rest_p10_amount as decimal(38, 9)) as rest_p10_amount,
    cast(months.rest_p50_amount as decimal(38, 9)) as rest_p50_amount,
    cast(months.rest_p90_amount as decimal(38, 9)) as rest_p90_amount,
    cast(months.total_p10_amount as decimal(38, 9)) as total_p10_amount,
    cast(months.total_p50_amount as decimal(38, 9)) as total_p50_amount,
    cast(months.total_p90_amount as decimal(38, 9)) as total_p90_amount,
    months.unit_code,
    cast(months.reporting_spent_amount as decimal(38, 9)) as reporting_spent_amount,
    cast(months.reporting_total_p50_amount as decimal(38, 9)) as reporting_total_p50_amount,
    months.reporting_unit_code,

    -- the budget
    months.budget_amount,
    months.budget_unit_code,
    cast(months.budget_spent_amount as decimal(38, 9)) as budget_spent_amount,
    cast(months.over_budget_probability as double) as over_budget_probability,
    months.budget_used_up_date,
    months.budget_fx_rate_date,

    -- evidence
    months.open_day_count,
    months.missing_day_count,
    months.account_count,
    months.forecast_account_count,
    months.converted_account_count,

    -- as forecast on days of the month
    issued.day_1_total_p10_amount,
    issued.day_1_total_p50_amount,
    issued.day_1_total_p90_amount,
    issued.day_7_total_p10_amount,
    issued.day_7_total_p50_amount,
    issued.day_7_total_p90_amount,
    issued.day_14_total_p10_amount,
    issued.day_14_total_p50_amount,
    issued.day_14_total_p90_amount,
    issued.day_21_total_p10_amount,
    issued.day_21_total_p50_amount,
    issued.day_21_total_p90_amount
from months
left join issued
    on
        months.scope = issued.scope
        and months.scope_id = issued.scope_id
        and months.spend_month = issued.spend_month
        and months.unit_code = issued.unit_code
