select horizon_days, nominal_ratio, observed_ratio, forecast_count
from forecasts.calibration
where account_id = '*' and forecaster = 'drawdown' and observed_ratio is not null
order by horizon_days, nominal_ratio
