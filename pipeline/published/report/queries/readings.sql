select account_id, max(observed_at_utc) as observed_at_utc, arg_max(balance_amount, observed_at_utc) as balance_amount,
    unit_code, arg_max(fetch_id, observed_at_utc) as fetch_id
from core.balance_snapshots
where account_id = $account_id and balance_amount is not null
    and observed_at_utc >= (
        select cast(value as timestamptz) - interval 60 day from marts.build_info where item = 'as_of_utc'
    )
group by account_id, cast(observed_at_utc at time zone 'UTC' as date), unit_code
order by account_id, observed_at_utc
