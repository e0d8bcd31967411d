-- Between two readings of a balance: the entries that explain the difference, by kind, and what they leave unexplained.
with

intervals as (
    select
        account_id,
        lag(observed_at_utc) over following as opened_at_utc,
        observed_at_utc as closed_at_utc,
        lag(balance_amount) over following as opening_amount,
        balance_amount as closing_amount,
        lag(unit_code) over following as opening_unit_code,
        unit_code,
        lag(fetch_id) over following as opening_fetch_id,
        fetch_id as closing_fetch_id
    from {{ ref('balance_snapshots') }}
    window following as (partition by account_id order by observed_at_utc)
    qualify opening_unit_code = unit_code
),

booked as (
    select account_id, entry_id, effective_at_utc, entry_amount, unit_code, entry_kind
    from {{ ref('ledger_entries') }}
    where entry_status in ('settled', 'unknown')
),

documents as (
    select
        intervals.account_id,
        intervals.closed_at_utc,
        sum(booked.entry_amount) filter (where booked.entry_kind = 'top_up') as top_up_amount,
        sum(booked.entry_amount) filter (where booked.entry_kind = 'refund') as refund_amount,
        sum(booked.entry_amount) filter (where booked.entry_kind = 'usage') as usage_amount,
        sum(booked.entry_amount) filter (where booked.entry_kind = 'renewal') as renewal_amount,
        sum(booked.entry_amount) filter (where booked.entry_kind in ('adjustment', 'other')) as adjustment_amount,
        sum(booked.entry_amount) filter (where booked.entry_kind = 'tax') as tax_amount,
        count(*) as entry_count,
        string_agg(booked.entry_id, ' ' order by booked.entry_id) as entry_ids
    from booked
    asof inner join intervals
        on booked.account_id = intervals.account_id and booked.effective_at_utc <= intervals.closed_at_utc
    where booked.effective_at_utc > intervals.opened_at_utc and booked.unit_code = intervals.unit_code
    group by intervals.account_id, intervals.closed_at_utc
),

summed as (
    select
        intervals.*,
        coalesce(documents.top_up_amount, 0) as top_up_amount,
        coalesce(documents.refund_amount, 0) as refund_amount,
        coalesce(documents.usage_amount, 0) as usage_amount,
        coalesce(documents.renewal_amount, 0) as renewal_amount,
        coalesce(documents.adjustment_amount, 0) as adjustment_amount,
        coalesce(documents.tax_amount, 0) as tax_amount,
        coalesce(documents.entry_count, 0) as entry_count,
        documents.entry_ids
    from intervals
    left join documents
        on intervals.account_id = documents.account_id and intervals.closed_at_utc = documents.closed_at_utc
)

select
    account_id,
    opened_at_utc,
    closed_at_utc,
    opening_amount,
    cast(top_up_amount as decimal(38, 9)) as top_up_amount,
    cast(refund_amount as decimal(38, 9)) as refund_amount,
    cast(usage_amount as decimal(38, 9)) as usage_amount,
    cast(renewal_amount as decimal(38, 9)) as renewal_amount,
    cast(adjustment_amount as decimal(38, 9)) as adjustment_amount,
    cast(tax_amount as decimal(38, 9)) as tax_amount,
    cast(
        closing_amount - opening_amount - top_up_amount - refund_amount - usage_amount - renewal_amount
        - adjustment_amount - tax_amount as decimal(38, 9)
    ) as unexplained_amount,
    closing_amount,
    unit_code,
    entry_count,
    entry_ids,
    opening_fetch_id,
    closing_fetch_id
from summed
