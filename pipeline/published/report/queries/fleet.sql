select reporting_unit_code, account_count, converted_account_count, unconverted_account_count, unread_account_count,
    stale_account_count, reporting_balance_amount, reporting_burn_28d_amount, burn_account_count, unconverted_balances,
    critical_account_count, warning_account_count, unknown_account_count, watch_account_count, ok_account_count,
    oldest_fx_rate_date, old_rate_account_count
from marts.fleet_status
