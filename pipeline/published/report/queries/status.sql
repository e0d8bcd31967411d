select *
from marts.account_status
where account_id = $account_id
