-- fail adds_up: It agrees with independent sources.
-- The residual makes each interval's sum correct by construction, so the arithmetic is compared with independent facts:
-- the readings, and the entries added up again. Balances in different units have no difference, so each stretch of
-- readings in one unit is checked separately.
with

bridged as (
    select
        bridge.account_id,
        units.from_at_utc,
        bridge.unit_code,
        count(*) as interval_count,
        min(bridge.opened_at_utc) as opened_at_utc,
        max(bridge.closed_at_utc) as closed_at_utc,
        arg_min(bridge.opening_amount, bridge.opened_at_utc) as opening_amount,
        arg_max(bridge.closing_amount, bridge.closed_at_utc) as closing_amount,
        sum(bridge.closing_amount - bridge.opening_amount) as change_amount,
        sum(bridge.top_up_amount - bridge.inferred_top_up_amount) as top_up_amount,
        sum(bridge.refund_amount) as refund_amount,
        sum(bridge.usage_amount) as usage_amount,
        sum(bridge.renewal_amount) as renewal_amount,
        sum(bridge.adjustment_amount) as adjustment_amount,
        sum(bridge.tax_amount) as tax_amount,
        sum(
            bridge.top_up_amount + bridge.refund_amount + bridge.usage_amount + bridge.renewal_amount
            + bridge.adjustment_amount + bridge.pending_amount + bridge.tax_amount + bridge.quota_reset_amount
            + bridge.unexplained_amount
        ) as accounted_amount,
        sum(bridge.entry_count) as entry_count,
        max(bridge.evidence_level) as evidence_level
    from core.balance_bridge as bridge
    left join core.account_units as units
        on
            bridge.account_id = units.account_id
            and bridge.closed_at_utc >= units.from_at_utc
            and bridge.closed_at_utc < coalesce(units.to_at_utc, cast('9999-12-31' as timestamptz))
    group by bridge.account_id, units.from_at_utc, bridge.unit_code
),

read as (
    select
        snapshots.account_id,
        units.from_at_utc,
        snapshots.unit_code,
        count(*) - 1 as interval_count,
        arg_min(snapshots.balance_amount, snapshots.observed_at_utc) as opening_amount,
        arg_max(snapshots.balance_amount, snapshots.observed_at_utc) as closing_amount,
        count(case when snapshots.unit_code <> units.unit_code then 1 end) as strange_count
    from core.balance_snapshots as snapshots
    left join core.account_units as units
        on
            snapshots.account_id = units.account_id
            and snapshots.observed_at_utc >= units.from_at_utc
            and snapshots.observed_at_utc < coalesce(units.to_at_utc, cast('9999-12-31' as timestamptz))
    where snapshots.balance_amount is not null
    group by snapshots.account_id, units.from_at_utc, snapshots.unit_code
),

entered as (
    select
        bridged.account_id,
        bridged.from_at_utc,
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
            and bridged.opened_at_utc < entries.effective_at_utc
            and bridged.closed_at_utc >= entries.effective_at_utc
            and bridged.unit_code = entries.unit_code
    where entries.entry_status in ('settled', 'unknown')
    group by bridged.account_id, bridged.from_at_utc
)

select distinct
    account_id,
    'a reading is in the unit that its account is held in at that time' as rule
from read
where from_at_utc is null or strange_count > 0
union all
select distinct
    read.account_id,
    'every two consecutive readings have one interval, and they telescope from the first balance to the last' as rule
from read
left join bridged
    on
        read.account_id = bridged.account_id
        and read.from_at_utc = bridged.from_at_utc
        and read.unit_code = bridged.unit_code
where
    read.interval_count > 0
    and (
        bridged.interval_count is distinct from read.interval_count
        or bridged.opening_amount is distinct from read.opening_amount
        or bridged.closing_amount is distinct from read.closing_amount
        or bridged.change_amount is distinct from read.closing_amount - read.opening_amount
        or bridged.accounted_amount is distinct from read.closing_amount - read.opening_amount
    )
union all
select distinct
    bridged.account_id,
    'each settled entry between the first and the last reading falls in exactly one interval' as rule
from bridged
left join entered on bridged.account_id = entered.account_id and bridged.from_at_utc = entered.from_at_utc
where bridged.entry_count <> coalesce(entered.entry_count, 0)
union all
select distinct
    bridged.account_id,
    'each component equals the sum of the entries of its kind' as rule
from bridged
left join entered on bridged.account_id = entered.account_id and bridged.from_at_utc = entered.from_at_utc
where
    bridged.top_up_amount <> coalesce(entered.top_up_amount, 0)
    or bridged.renewal_amount <> coalesce(entered.renewal_amount, 0)
    or bridged.adjustment_amount <> coalesce(entered.adjustment_amount, 0)
    or bridged.tax_amount <> coalesce(entered.tax_amount, 0)
    -- Without a ledger, falls and small rises are inferred in addition to documents.
    or (bridged.evidence_level <> 'balance' and bridged.refund_amount <> coalesce(entered.refund_amount, 0))
    or (bridged.evidence_level = 'ledger' and bridged.usage_amount <> coalesce(entered.usage_amount, 0))
