-- warn is_fresh: Every account has a fresh reading.
select
    account_id,
    reason as message
from marts.account_status
where reading_state <> 'fresh'
order by account_id
