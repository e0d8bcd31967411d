select bridge.account_id, bridge.unexplained_class, count(*) as interval_count,
    sum(bridge.unexplained_amount) as unexplained_amount, bridge.unit_code
from core.balance_bridge as bridge
inner join marts.account_status as status
    on bridge.account_id = status.account_id and bridge.unit_code = status.unit_code
where bridge.account_id = $account_id and bridge.unexplained_class is not null
    and bridge.closed_at_utc > (
        select cast(value as timestamptz) - interval $summary_days day from marts.build_info where item = 'as_of_utc'
    )
group by bridge.account_id, bridge.unexplained_class, bridge.unit_code
order by bridge.account_id, bridge.unexplained_class
