-- An interval belongs to the day on which it closed: one across midnight is counted once, and the balances telescope.
-- Units are kept apart. If the balance was in another unit in between, the change meanwhile is unexplained.
with

added as (
    select
        account_id,
        cast(closed_at_utc at time zone 'UTC' as date) as bridge_date,
        unit_code,
        evidence_level,
        arg_min(opening_amount, closed_at_utc) as opening_amount,
        sum(top_up_amount) as top_up_amount,
        sum(refund_amount) as refund_amount,
        sum(usage_amount) as usage_amount,
        sum(renewal_amount) as renewal_amount,
        sum(adjustment_amount) as adjustment_amount,
        sum(pending_amount) as pending_amount,
        sum(tax_amount) as tax_amount,
        sum(unexplained_amount) as unexplained_amount,
        arg_max(closing_amount, closed_at_utc) as closing_amount,
        sum(closing_amount - opening_amount) as change_amount,
        sum(inferred_top_up_amount) as inferred_top_up_amount,
        count(distinct unexplained_class) as class_count,
        min(unexplained_class) as unexplained_class,
        count(*) as interval_count,
        count(unexplained_class) as unexplained_interval_count,
        sum(entry_count) as entry_count
    from core.balance_bridge
    group by account_id, cast(closed_at_utc at time zone 'UTC' as date), unit_code, evidence_level
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
    bridge_date,

    -- opening to closing balance
    opening_amount,
    cast(top_up_amount as decimal(38, 9)) as top_up_amount,
    cast(refund_amount as decimal(38, 9)) as refund_amount,
    cast(usage_amount as decimal(38, 9)) as usage_amount,
    cast(renewal_amount as decimal(38, 9)) as renewal_amount,
    cast(adjustment_amount as decimal(38, 9)) as adjustment_amount,
    cast(pending_amount as decimal(38, 9)) as pending_amount,
    cast(tax_amount as decimal(38, 9)) as tax_amount,
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
