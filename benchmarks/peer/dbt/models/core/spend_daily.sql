-- Every day from an account's first entry or reading to the last day that its ledger was completely requested for; a
-- day without an entry is a day without spend.
with

covered as (
    select
        listings.account_id,
        least(max(listings.window_to_date), min(entries.first_date), min(readings.first_date)) as first_date,
        max(listings.window_to_date) as through_date
    from {{ source('raw', 'ledger_listings') }} as listings
    left join (
        select account_id, cast(min(effective_at_utc) as date) as first_date
        from {{ ref('ledger_entries') }} group by account_id
    ) as entries on listings.account_id = entries.account_id
    left join (
        select account_id, cast(min(observed_at_utc) as date) as first_date
        from {{ ref('balance_snapshots') }} group by account_id
    ) as readings on listings.account_id = readings.account_id
    where listings.is_complete
    group by listings.account_id
),

days as (
    select
        account_id,
        through_date,
        cast(unnest(generate_series(first_date, through_date, interval 1 day)) as date) as spend_date
    from covered
),

spent as (
    select
        account_id,
        cast(effective_at_utc as date) as spend_date,
        unit_code,
        -sum(entry_amount) as spend_amount
    from {{ ref('ledger_entries') }}
    where
        entry_status in ('settled', 'unknown')
        and (
            entry_kind in ('usage', 'renewal', 'tax', 'adjustment')
            or (entry_kind = 'refund' and entry_amount > 0)
            or (entry_kind = 'other' and entry_amount < 0)
        )
    group by account_id, cast(effective_at_utc as date), unit_code
),

units as (
    select account_id, arg_max(unit_code, observed_at_utc) as unit_code
    from {{ ref('balance_snapshots') }}
    group by account_id
)

select
    days.account_id,
    days.spend_date,
    coalesce(spent.unit_code, units.unit_code) as unit_code,
    cast(coalesce(spent.spend_amount, 0) as decimal(38, 9)) as spend_amount,
    days.spend_date < days.through_date as is_complete
from days
left join spent on days.account_id = spent.account_id and days.spend_date = spent.spend_date
left join units on days.account_id = units.account_id
