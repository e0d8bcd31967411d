-- Spend from the first of the month of issue on, and quantiles of the total by the end of that month and of the next.
-- Unobserved days are counted, and not included.
with
issued as (
    select account_id, issue_date, unit_code, cast(date_trunc('month', issue_date) as date) as month
    from forecasts.runway as newest
    where account_id = $account_id
        and issue_date = (select max(issue_date) from forecasts.runway where account_id = newest.account_id)
),
so_far as (
    select issued.account_id, coalesce(sum(spent.spend_amount), 0) as spent_amount,
        any_value(issued.issue_date - issued.month) - count(spent.spend_date) as unseen_day_count
    from issued
    left join core.spend_daily as spent
        on issued.account_id = spent.account_id and issued.unit_code = spent.unit_code
            and spent.spend_date >= issued.month and spent.spend_date < issued.issue_date and spent.is_complete
    group by issued.account_id
)
select total.account_id, total.forecast_date, so_far.spent_amount, so_far.unseen_day_count,
    so_far.spent_amount + total.p10_amount as p10_amount, so_far.spent_amount + total.p50_amount as p50_amount,
    so_far.spent_amount + total.p90_amount as p90_amount, issued.unit_code, issued.issue_date
from issued
inner join so_far on issued.account_id = so_far.account_id
inner join forecasts.cost_total as total
    on issued.account_id = total.account_id and issued.issue_date = total.issue_date
        and total.forecast_date in (last_day(issued.month), last_day(issued.month + interval 1 month))
order by total.account_id, total.forecast_date
