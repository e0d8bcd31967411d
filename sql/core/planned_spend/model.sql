-- A plan is in the unit that the account has now. Plans under a former name of an account are those of an earlier run.
select
    -- ids
    plans.account_id,
    plans.plan_number,
    plans.from_date,
    plans.to_date,
    plans.note,

    -- amounts
    plans.planned_amount,
    plans.multiplier,
    accounts.unit_code
from staging.planned_spend as plans
inner join core.accounts as accounts on plans.account_id = accounts.account_id
