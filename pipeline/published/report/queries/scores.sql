select account_id, horizon_days, forecaster, forecast_count, separate_origin_count, pinball_ratio, median_error_ratio,
    coverage_80_ratio, coverage_90_ratio, below_80_ratio, above_80_ratio, brier_score, backtested_at_utc, fetch_id
from forecasts.backtest_scores
where account_id = '*'
order by horizon_days, forecaster
