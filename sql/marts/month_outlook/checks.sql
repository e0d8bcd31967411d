-- warn compares_budgets: Every account's budget of the running month is in its unit, or can be converted.
select
    scope_id as account_id,
    'its budget of ' || core.amount_words(budget_amount, budget_unit_code) || ' cannot be compared with spend in '
    || unit_code || '; set monthly_budget_unit to ' || unit_code || ' or ' || reporting_unit_code as message
from forecasts.current_month_outlook
where
    scope = 'account'
    and budget_amount is not null
    and budget_spent_amount is null
    and open_day_count > 0
order by scope_id
