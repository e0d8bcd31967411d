select account_id, issue_date, issued_at_utc, day_start_amount, threshold_amount, unit_code, auto_topup_model,
    resets_at_utc, fetch_id
from forecasts.runway as issued
where account_id = $account_id
    and issue_date = (select max(issue_date) from forecasts.runway where account_id = issued.account_id)
