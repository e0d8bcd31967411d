-- Evidence of a month's balances for the sign convention of a ledger. Three conventions, each with the amounts as
-- stated and with those that include tax, are tested on the intervals between two readings in one unit that have
-- settled entries: which of them explain the change of the balance to the last digit? Incoming money alone proves
-- nothing, unless the conventions would have moved the balance differently.
with

months as (
    select
        min(dirty_month) as first_date,
        cast(max(dirty_month) + interval 1 month as date) as next_first_date
    from staging.dirty_months
    where table_name = 'core.ledger_evidence'
),

dirty_range as (
    select
        cast(first_date as timestamp) at time zone 'UTC' as from_utc,
        cast(next_first_date as timestamp) at time zone 'UTC' as before_utc
    from months
),

booked as (
    select distinct account_id
    from staging.ledger_entries
),

-- The reading before the first dirty one, with which the first interval opens.
carried as (
    select
        balances.account_id,
        max(balances.observed_at_utc) as from_utc
    from staging.balances as balances
    inner join booked on balances.account_id = booked.account_id
    cross join dirty_range
    where balances.observed_at_utc < dirty_range.from_utc
    group by balances.account_id
),

-- A constant for all accounts, by which older rows are skipped unread.
first_reading as (
    select least(min(carried.from_utc), min(dirty_range.from_utc)) as from_utc
    from dirty_range
    left join carried on true
),

readings as (
    select
        readings.account_id,
        readings.observed_at_utc,
        readings.balance_amount,
        units.from_at_utc,
        units.unit_code
    from staging.readings as readings
    inner join booked on readings.account_id = booked.account_id
    inner join core.account_units as units
        on
            readings.account_id = units.account_id
            and readings.observed_at_utc >= units.from_at_utc
            and (units.to_at_utc is null or readings.observed_at_utc < units.to_at_utc)
    cross join dirty_range
    cross join first_reading
    left join carried on readings.account_id = carried.account_id
    where
        readings.observed_at_utc >= first_reading.from_utc
        and readings.observed_at_utc >= coalesce(carried.from_utc, dirty_range.from_utc)
        and readings.observed_at_utc < dirty_range.before_utc
),

intervals as (
    select
        account_id,
        unit_code,
        lag(observed_at_utc) over following as opened_at_utc,
        observed_at_utc as closed_at_utc,
        balance_amount - lag(balance_amount) over following as change_amount
    from readings
    window following as (partition by account_id, from_at_utc order by observed_at_utc)
),

entries as (
    select
        stated.account_id,
        stated.effective_at_utc,
        stated.unit_code,
        stated.stated_amount,
        coalesce(
            case when stated.stated_amount < 0 then -abs(stated.gross_amount) else abs(stated.gross_amount) end,
            stated.stated_amount
        ) as taxed_amount,
        case
            when stated.entry_kind in ('top_up', 'refund') then 1
            when stated.entry_kind in ('usage', 'renewal', 'tax') then -1
        end as direction
    from staging.ledger_entries as stated
    cross join dirty_range
    left join carried on stated.account_id = carried.account_id
    where
        stated.entry_status in ('settled', 'unknown')
        and stated.effective_at_utc > coalesce(carried.from_utc, dirty_range.from_utc)
        and stated.effective_at_utc < dirty_range.before_utc
),

placed as (
    select
        entries.account_id,
        intervals.closed_at_utc,
        intervals.change_amount,
        sum(entries.stated_amount) as signed_amount,
        sum(entries.taxed_amount) as signed_taxed_amount,
        case when count(*) = count(entries.direction) then sum(entries.direction * abs(entries.stated_amount)) end
            as by_kind_amount,
        case when count(*) = count(entries.direction) then sum(entries.direction * abs(entries.taxed_amount)) end
            as by_kind_taxed_amount,
        count(case when entries.direction = 1 then 1 end) = count(*) as is_credit_alone
    from entries
    asof inner join intervals
        on entries.account_id = intervals.account_id and entries.effective_at_utc <= intervals.closed_at_utc
    where
        entries.effective_at_utc > intervals.opened_at_utc
        and intervals.change_amount <> 0
        and (entries.unit_code is null or entries.unit_code = intervals.unit_code)
    group by entries.account_id, intervals.closed_at_utc, intervals.change_amount
),

tested as (
    select
        account_id,
        closed_at_utc,
        cast(date_trunc('month', core.utc_date(closed_at_utc)) as date) as evidence_month,
        case when signed_amount = change_amount then 'signed ' else '' end
        || case when by_kind_amount = change_amount then 'by_kind ' else '' end
        || case when -signed_amount = change_amount then 'inverted ' else '' end
        || case when signed_taxed_amount = change_amount then 'signed_with_tax ' else '' end
        || case when by_kind_taxed_amount = change_amount then 'by_kind_with_tax ' else '' end
        || case when -signed_taxed_amount = change_amount then 'inverted_with_tax ' else '' end as reconciled_by
    from placed
    where not is_credit_alone or signed_amount is distinct from by_kind_amount
)

select
    account_id,
    evidence_month,
    reconciled_by,
    count(*) as interval_count,
    min(closed_at_utc) as first_closed_at_utc
from tested
group by account_id, evidence_month, reconciled_by
