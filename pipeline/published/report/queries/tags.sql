select account_id, tags
from core.accounts
where account_id = $account_id
