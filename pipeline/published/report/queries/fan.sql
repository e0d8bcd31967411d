select total.account_id, total.horizon_days, total.forecast_date,
    issued.day_start_amount - total.p95_amount as p05_amount, issued.day_start_amount - total.p90_amount as p10_amount,
    issued.day_start_amount - total.p75_amount as p25_amount, issued.day_start_amount - total.p50_amount as p50_amount,
    issued.day_start_amount - total.p25_amount as p75_amount, issued.day_start_amount - total.p10_amount as p90_amount,
    issued.day_start_amount - total.p05_amount as p95_amount
from forecasts.cost_total as total
inner join forecasts.runway as issued on total.account_id = issued.account_id and total.issue_date = issued.issue_date
where total.account_id = $account_id
    and total.issue_date = (select max(issue_date) from forecasts.runway where account_id = total.account_id)
    and (total.horizon_days <= 14 or total.horizon_days % 7 = 0 or total.horizon_days in (30, $horizon_days))
order by total.account_id, total.horizon_days
