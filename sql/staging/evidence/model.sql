-- Each account's best evidence of spend, and its first and last day.
--
-- A ledger or usage listing covers the days from its first fact to the last day of a complete request; balances cover
-- those from the first good reading to the newest. A ledger is requested as a whole, newest entries first, so an empty
-- answer after earlier entries does not prove days without spend. Usage by days is known from the first day of the last
-- unbroken series of windows on: nothing shows that days in a gap were free.
with

readings as (
    select
        account_id,
        min(observed_at_utc) as first_at,
        max(observed_at_utc) as last_at
    from staging.balances
    group by account_id
),

own_ledgers as (
    select distinct account_id
    from staging.listings
    where record_kind = 'ledger_entries' and is_readable
),

facts as (
    select
        account_id,
        'ledger_entries' as record_kind,
        cast(min(effective_at_utc) at time zone 'UTC' as date) as first_date
    from staging.ledger_entries
    group by account_id
    union all
    select
        account_id,
        'orders' as record_kind,
        cast(min(coalesce(paid_at_utc, ordered_at_utc)) at time zone 'UTC' as date) as first_date
    from staging.orders
    where order_status = 'settled'
    group by account_id
    union all
    select
        account_id,
        'usage_days' as record_kind,
        min(usage_date) as first_date
    from staging.usage_days
    group by account_id
),

listed_days as (
    select
        listings.account_id,
        listings.record_kind,
        max(listings.through_date) as through_date
    from staging.listings as listings
    left join facts on listings.account_id = facts.account_id and listings.record_kind = facts.record_kind
    left join own_ledgers on listings.account_id = own_ledgers.account_id
    where
        listings.through_date is not null
        and (listings.record_kind = 'usage_days' or listings.has_rows or facts.first_date is null)
        and (listings.record_kind <> 'orders' or own_ledgers.account_id is null)
    group by listings.account_id, listings.record_kind
),

windows as (
    select
        account_id,
        window_from_date,
        max(window_to_date) over (
            partition by account_id
            order by window_from_date
            rows between unbounded preceding and 1 preceding
        ) as reached_date
    from staging.usage_windows
),

unbroken_windows as (
    select
        account_id,
        max(window_from_date) as from_date
    from windows
    where reached_date is null or window_from_date > reached_date + 1
    group by account_id
),

evidence as (
    select
        listed_days.account_id,
        case listed_days.record_kind when 'usage_days' then 'usage' else 'ledger' end as basis,
        listed_days.record_kind = 'orders' as is_fallback,
        listed_days.through_date,
        greatest(
            least(
                coalesce(facts.first_date, listed_days.through_date),
                listed_days.through_date,
                coalesce(core.utc_date(readings.first_at), listed_days.through_date)
            ),
            case when listed_days.record_kind = 'usage_days' then unbroken_windows.from_date end
        ) as first_date
    from listed_days
    left join facts on listed_days.account_id = facts.account_id and listed_days.record_kind = facts.record_kind
    left join readings on listed_days.account_id = readings.account_id
    left join unbroken_windows on listed_days.account_id = unbroken_windows.account_id
    union all
    select
        account_id,
        'balance' as basis,
        false as is_fallback,
        core.utc_date(last_at) as through_date,
        core.utc_date(first_at) as first_date
    from readings
),

ranked as (
    select
        *,
        row_number() over (
            partition by account_id
            order by case basis when 'ledger' then 1 when 'usage' then 2 else 3 end, is_fallback
        ) as preference
    from evidence
)

select
    account_id,
    basis,
    is_fallback,
    first_date,
    through_date
from ranked
where preference = 1
