-- Shares of accounts in different units may be combined, their losses may not.
select horizon_days, count(*) as account_count, cast(sum(forecast_count) as bigint) as forecast_count,
    min(first_issue_date) as first_issue_date, max(last_issue_date) as last_issue_date,
    sum(coverage_80_ratio * forecast_count) / sum(forecast_count) as coverage_80_ratio,
    sum(coverage_90_ratio * forecast_count) / sum(forecast_count) as coverage_90_ratio,
    sum(below_80_ratio * forecast_count) / sum(forecast_count) as below_80_ratio,
    sum(above_80_ratio * forecast_count) / sum(forecast_count) as above_80_ratio
from marts.forecast_accuracy
where forecaster = 'drawdown' and coverage_80_ratio is not null
group by horizon_days
order by horizon_days
