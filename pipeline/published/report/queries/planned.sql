select account_id, from_date, to_date, note, planned_amount, multiplier, state, spent_amount, extra_amount, unit_code
from marts.planned_spend
where account_id = $account_id
order by account_id, from_date desc, plan_number
