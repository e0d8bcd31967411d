-- An interval belongs to the month that it closed in: what straddles the end is counted once, the balances telescope.
select
    -- ids
    account_id,
    cast(date_trunc('month', closed_at_utc at time zone 'UTC') as date) as bridge_month,

    -- from the first balance to the last
    arg_min(opening_amount, closed_at_utc) as opening_amount,
    cast(sum(top_up_amount) as decimal(38, 9)) as top_up_amount,
    cast(sum(refund_amount) as decimal(38, 9)) as refund_amount,
    cast(sum(usage_amount) as decimal(38, 9)) as usage_amount,
    cast(sum(renewal_amount) as decimal(38, 9)) as renewal_amount,
    cast(sum(adjustment_amount) as decimal(38, 9)) as adjustment_amount,
    cast(sum(pending_amount) as decimal(38, 9)) as pending_amount,
    cast(sum(tax_amount) as decimal(38, 9)) as tax_amount,
    cast(sum(unexplained_amount) as decimal(38, 9)) as unexplained_amount,
    arg_max(closing_amount, closed_at_utc) as closing_amount,
    unit_code,

    -- how well it is known
    cast(sum(inferred_top_up_amount) as decimal(38, 9)) as inferred_top_up_amount,
    case
        when sum(unexplained_amount) = 0 then null
        when count(distinct unexplained_class) = 1 then min(unexplained_class)
        else 'unknown'
    end as unexplained_class,
    evidence_level,
    count(*) as interval_count,
    count(unexplained_class) as unexplained_interval_count,
    cast(sum(entry_count) as bigint) as entry_count
from core.balance_bridge
group by account_id, cast(date_trunc('month', closed_at_utc at time zone 'UTC') as date), unit_code, evidence_level
