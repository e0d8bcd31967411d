-- Where the money went in each interval: documented amounts (`core.balance_intervals`), and the remaining residual with
-- its class (`core.balance_residuals`), in its own column if it can be inferred.
with

named as (
    select
        intervals.*,
        residuals.residual_class,
        case when residuals.residual_class = 'inferred_top_up' then intervals.residual_amount else 0 end
            as inferred_top_up_amount,
        case when residuals.residual_class = 'inferred_refund' then intervals.residual_amount else 0 end
            as inferred_refund_amount,
        case when residuals.residual_class = 'inferred_usage' then intervals.residual_amount else 0 end
            as inferred_usage_amount
    from core.balance_intervals as intervals
    left join core.balance_residuals as residuals
        on intervals.account_id = residuals.account_id and intervals.closed_at_utc = residuals.closed_at_utc
)

select
    -- ids
    account_id,
    opened_at_utc,
    closed_at_utc,

    -- from one balance to the next
    opening_amount,
    cast(top_up_amount + inferred_top_up_amount as decimal(38, 9)) as top_up_amount,
    cast(refund_amount + inferred_refund_amount as decimal(38, 9)) as refund_amount,
    cast(usage_amount + inferred_usage_amount as decimal(38, 9)) as usage_amount,
    renewal_amount,
    adjustment_amount,
    pending_amount,
    tax_amount,
    quota_reset_amount,
    cast(
        residual_amount - inferred_top_up_amount - inferred_refund_amount - inferred_usage_amount as decimal(38, 9)
    ) as unexplained_amount,
    closing_amount,
    unit_code,

    -- evidence
    cast(inferred_top_up_amount as decimal(38, 9)) as inferred_top_up_amount,
    case when residual_class not in ('inferred_top_up', 'inferred_refund', 'inferred_usage') then residual_class end
        as unexplained_class,
    case when has_late then 'late_entry' when has_restated then 'restated' end as history_class,
    evidence_level,

    -- sources
    entry_count,
    entry_ids,
    opening_fetch_id,
    closing_fetch_id
from named
