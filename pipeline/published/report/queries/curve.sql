select account_id, horizon_days, forecast_date, depleted_probability, below_threshold_probability
from forecasts.runway_curve as curve
where account_id = $account_id
    and issue_date = (select max(issue_date) from forecasts.runway where account_id = curve.account_id)
    and (horizon_days <= 14 or horizon_days % 7 = 0 or horizon_days in (30, $horizon_days))
order by account_id, horizon_days
