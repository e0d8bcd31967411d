-- An interval belongs to the month in which it closed: one across the end is counted once, and the balances telescope.
-- Units are kept apart. If the balance was in another unit in between, the change meanwhile is unexplained.
with

dirty_range as (
    select
        cast(min(dirty_month) as timestamp) at time zone 'UTC' as from_utc,
        cast(cast(max(dirty_month) + interval 1 month as date) as timestamp) at time zone 'UTC' as before_utc
    from staging.dirty_months
    where table_name = 'marts.balance_bridge_monthly'
),

added as (
    select
        bridge.account_id,
        cast(date_trunc('month', core.utc_date(bridge.closed_at_utc)) as date) as bridge_month,
        bridge.unit_code,
        bridge.evidence_level,
        arg_min(bridge.opening_amount, bridge.closed_at_utc) as opening_amount,
        sum(bridge.top_up_amount) as top_up_amount,
        sum(bridge.refund_amount) as refund_amount,
        sum(bridge.usage_amount) as usage_amount,
        sum(bridge.renewal_amount) as renewal_amount,
        sum(bridge.adjustment_amount) as adjustment_amount,
        sum(bridge.pending_amount) as pending_amount,
        sum(bridge.tax_amount) as tax_amount,
        sum(bridge.quota_reset_amount) as quota_reset_amount,
        sum(bridge.unexplained_amount) as unexplained_amount,
        arg_max(bridge.closing_amount, bridge.closed_at_utc) as closing_amount,
        sum(bridge.closing_amount - bridge.opening_amount) as change_amount,
        sum(bridge.inferred_top_up_amount) as inferred_top_up_amount,
        count(distinct bridge.unexplained_class) as class_count,
        min(bridge.unexplained_class) as unexplained_class,
        count(*) as interval_count,
        count(bridge.unexplained_class) as unexplained_interval_count,
        sum(bridge.entry_count) as entry_count
    from core.balance_bridge as bridge
    cross join dirty_range
    where bridge.closed_at_utc >= dirty_range.from_utc and bridge.closed_at_utc < dirty_range.before_utc
    group by
        bridge.account_id,
        cast(date_trunc('month', core.utc_date(bridge.closed_at_utc)) as date),
        bridge.unit_code,
        bridge.evidence_level
),

joined as (
    select
        *,
        closing_amount - opening_amount - change_amount as between_amount
    from added
)

select
    -- ids
    account_id,
    bridge_month,

    -- opening to closing balance
    opening_amount,
    cast(top_up_amount as decimal(38, 9)) as top_up_amount,
    cast(refund_amount as decimal(38, 9)) as refund_amount,
    cast(usage_amount as decimal(38, 9)) as usage_amount,
    cast(renewal_amount as decimal(38, 9)) as renewal_amount,
    cast(adjustment_amount as decimal(38, 9)) as adjustment_amount,
    cast(pending_amount as decimal(38, 9)) as pending_amount,
    cast(tax_amount as decimal(38, 9)) as tax_amount,
    cast(quota_reset_amount as decimal(38, 9)) as quota_reset_amount,
    cast(unexplained_amount + between_amount as decimal(38, 9)) as unexplained_amount,
    closing_amount,
    unit_code,

    -- evidence
    cast(inferred_top_up_amount as decimal(38, 9)) as inferred_top_up_amount,
    core.span_class(unexplained_amount, between_amount, class_count, unexplained_class) as unexplained_class,
    evidence_level,
    interval_count,
    unexplained_interval_count,
    cast(entry_count as bigint) as entry_count
from joined
