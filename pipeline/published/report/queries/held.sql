select account_id, horizon_days, forecast_count, coverage_80_ratio
from marts.forecast_accuracy
where account_id = $account_id and forecaster = 'drawdown' and horizon_days in (7, 30) and coverage_80_ratio is not null
order by account_id, horizon_days
