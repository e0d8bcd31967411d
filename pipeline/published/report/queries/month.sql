-- The running month of the fleet, of teams, and of accounts with a budget.
select scope, scope_id, case when scope = 'fleet' then 'all accounts' else scope_id end as name, spend_month, spent_amount,
    total_p10_amount, total_p50_amount, total_p90_amount, unit_code,
    budget_amount, budget_unit_code, over_budget_probability, budget_used_up_date
from marts.month_outlook
where month_state = 'running' and (scope = 'fleet' or budget_amount is not null or (scope = 'team' and scope_id <> 'unassigned'))
order by list_position(['fleet', 'team', 'account'], scope), scope_id, unit_code
