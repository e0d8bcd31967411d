-- Without a unit, an account's budget is in the account's unit, and any other in the reporting currency.
select
    -- ids
    budgets.scope,
    budgets.scope_id,
    budgets.from_month,
    cast(
        lead(budgets.from_month) over (partition by budgets.scope, budgets.scope_id order by budgets.from_month)
        - interval 1 month as date
    ) as to_month,

    -- the budget
    budgets.budget_amount,
    coalesce(budgets.budget_unit_code, accounts.unit_code, build.reporting_unit_code) as budget_unit_code
from staging.budgets as budgets
cross join staging.build as build
left join core.accounts as accounts on budgets.scope = 'account' and budgets.scope_id = accounts.account_id
