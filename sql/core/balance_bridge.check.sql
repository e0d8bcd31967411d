-- The residual makes each interval's sum hold by itself, so the arithmetic is held to facts beside it: the readings
-- and the entries, added up anew. Accounts whose unit changed have a gap, and are held to the rest.
with

bridged as (
    select
        account_id,
        count(*) as interval_count,
        min(opened_at_utc) as from_utc,
        max(closed_at_utc) as to_utc,
        arg_min(opening_amount, opened_at_utc) as opening_amount,
        arg_max(closing_amount, closed_at_utc) as closing_amount,
        sum(closing_amount - opening_amount) as change_amount,
        sum(top_up_amount - inferred_top_up_amount) as top_up_amount,
        sum(refund_amount) as refund_amount,
        sum(usage_amount) as usage_amount,
        sum(renewal_amount) as renewal_amount,
        sum(adjustment_amount) as adjustment_amount,
        sum(tax_amount) as tax_amount,
        sum(
            top_up_amount + refund_amount + usage_amount + renewal_amount + adjustment_amount + pending_amount
            + tax_amount + unexplained_amount
        ) as accounted_amount,
        sum(entry_count) as entry_count,
        max(evidence_level) as evidence_level,
        max(unit_code) as unit_code
    from core.balance_bridge
    group by account_id
),

read as (
    select
        account_id,
        count(*) - 1 as interval_count,
        arg_min(balance_amount, observed_at_utc) as opening_amount,
        arg_max(balance_amount, observed_at_utc) as closing_amount,
        count(distinct unit_code) as unit_count
    from core.balance_snapshots
    where balance_amount is not null
    group by account_id
),

entered as (
    select
        bridged.account_id,
        count(*) as entry_count,
        sum(case when entries.entry_kind = 'top_up' then entries.entry_amount else 0 end) as top_up_amount,
        sum(case when entries.entry_kind = 'refund' then entries.entry_amount else 0 end) as refund_amount,
        sum(case when entries.entry_kind = 'usage' then entries.entry_amount else 0 end) as usage_amount,
        sum(case when entries.entry_kind = 'renewal' then entries.entry_amount else 0 end) as renewal_amount,
        sum(case when entries.entry_kind in ('adjustment', 'other') then entries.entry_amount else 0 end)
            as adjustment_amount,
        sum(case when entries.entry_kind = 'tax' then entries.entry_amount else 0 end) as tax_amount
    from bridged
    inner join core.ledger_entries as entries
        on
            bridged.account_id = entries.account_id
            and bridged.from_utc < entries.effective_at_utc
            and bridged.to_utc >= entries.effective_at_utc
            and bridged.unit_code = entries.unit_code
    where entries.entry_status in ('settled', 'unknown')
    group by bridged.account_id
)

select
    read.account_id,
    'every two consecutive readings have one interval, and they telescope from the first balance to the last' as rule
from read
left join bridged on read.account_id = bridged.account_id
where
    read.unit_count = 1
    and read.interval_count > 0
    and (
        bridged.interval_count is distinct from read.interval_count
        or bridged.opening_amount is distinct from read.opening_amount
        or bridged.closing_amount is distinct from read.closing_amount
        or bridged.change_amount is distinct from read.closing_amount - read.opening_amount
        or bridged.accounted_amount is distinct from read.closing_amount - read.opening_amount
    )
union all
select
    bridged.account_id,
    'each settled entry between the first and the last reading falls in exactly one interval' as rule
from bridged
inner join read on bridged.account_id = read.account_id and read.unit_count = 1
left join entered on bridged.account_id = entered.account_id
where bridged.entry_count <> coalesce(entered.entry_count, 0)
union all
select
    bridged.account_id,
    'each component equals the sum of the entries of its kind' as rule
from bridged
inner join read on bridged.account_id = read.account_id and read.unit_count = 1
left join entered on bridged.account_id = entered.account_id
where
    bridged.top_up_amount <> coalesce(entered.top_up_amount, 0)
    or bridged.renewal_amount <> coalesce(entered.renewal_amount, 0)
    or bridged.adjustment_amount <> coalesce(entered.adjustment_amount, 0)
    or bridged.tax_amount <> coalesce(entered.tax_amount, 0)
    -- Where there is no ledger, falls and small rises are inferred beside what is documented.
    or (bridged.evidence_level <> 'balance' and bridged.refund_amount <> coalesce(entered.refund_amount, 0))
    or (bridged.evidence_level = 'ledger' and bridged.usage_amount <> coalesce(entered.usage_amount, 0))
