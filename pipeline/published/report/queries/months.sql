select spent.account_id, spent.spend_month, spent.spend_amount, spent.unit_code, spent.basis, spent.is_complete,
    spent.is_lower_bound
from marts.spend_monthly as spent
inner join marts.account_status as status on spent.account_id = status.account_id and spent.unit_code = status.unit_code
where spent.account_id = $account_id
    and spent.spend_month > (
        select cast(value as timestamptz) - interval 12 month from marts.build_info where item = 'as_of_utc'
    )
order by spent.account_id, spent.spend_month
