select bridge.account_id, min(bridge.opened_at_utc) as opened_at_utc, max(bridge.closed_at_utc) as closed_at_utc,
    arg_min(bridge.opening_amount, bridge.closed_at_utc) as opening_amount, sum(bridge.top_up_amount) as top_up_amount,
    sum(bridge.refund_amount) as refund_amount, sum(bridge.usage_amount) as usage_amount,
    sum(bridge.renewal_amount) as renewal_amount, sum(bridge.adjustment_amount) as adjustment_amount,
    sum(bridge.pending_amount) as pending_amount, sum(bridge.tax_amount) as tax_amount,
    sum(bridge.quota_reset_amount) as quota_reset_amount,
    sum(bridge.unexplained_amount) as unexplained_amount,
    arg_max(bridge.closing_amount, bridge.closed_at_utc) as closing_amount, bridge.unit_code,
    sum(bridge.inferred_top_up_amount) as inferred_top_up_amount, count(*) as interval_count,
    arg_min(bridge.opening_fetch_id, bridge.closed_at_utc) as opening_fetch_id,
    arg_max(bridge.closing_fetch_id, bridge.closed_at_utc) as closing_fetch_id
from core.balance_bridge as bridge
inner join marts.account_status as status
    on bridge.account_id = status.account_id and bridge.unit_code = status.unit_code
where bridge.account_id = $account_id
    and bridge.closed_at_utc > (
        select cast(value as timestamptz) - interval $summary_days day from marts.build_info where item = 'as_of_utc'
    )
group by bridge.account_id, bridge.unit_code
