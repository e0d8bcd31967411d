select account_id, vendor, team, severity, reading_state, evidence_level, balance_amount, unit_code, observed_at_utc,
    age_seconds, stale_after_seconds, expected_balance_amount, threshold_amount, unconfirmed_amount, resets_at_utc, quota_amount,
    depleted_before_reset_probability, runway_days,
    runway_without_topups_days, auto_topup_model, runway_p10_date, runway_p50_date, runway_p90_date,
    alert_below_days, alert_below_amount,
    depleted_7d_probability, depleted_30d_probability, burn_7d_amount, burn_28d_amount, method, history_days,
    topup_amount, topup_gross_amount, order_by_date, topup_advice, reason, reporting_balance_amount,
    reporting_burn_28d_amount, reporting_unit_code, fx_rate_date, fx_source, fetch_id
from marts.account_status
where account_id = $account_id
