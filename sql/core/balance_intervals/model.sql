-- The intervals that close in dirty months, the documents of each, and the residual that they leave. A document only
-- explains the interval that it falls into: opened < effective <= closed.
--
-- If usage is stated by day, a reading of the balance corresponds to a reading of a cumulative meter: all days before
-- it as stated by now, and its own day as far as it had been stated by then. The usage of an interval is the difference
-- of its two meter readings, so usage requested along with each balance explains intervals shorter than a day, and a
-- day that cannot be divided belongs to the interval that contains its end.
with

months as (
    select
        min(dirty_month) as first_date,
        cast(max(dirty_month) + interval 1 month as date) as next_first_date
    from staging.dirty_months
    where table_name = 'core.balance_intervals'
),

dirty_range as (
    select
        cast(first_date as timestamp) at time zone 'UTC' as from_utc,
        cast(next_first_date as timestamp) at time zone 'UTC' as before_utc
    from months
),

-- The reading before the first dirty one, with which the first interval opens.
carried as (
    select
        snapshots.account_id,
        max(snapshots.observed_at_utc) as from_utc
    from core.balance_snapshots as snapshots
    cross join dirty_range
    where snapshots.balance_amount is not null and snapshots.observed_at_utc < dirty_range.from_utc
    group by snapshots.account_id
),

-- A constant for all accounts, by which older rows are skipped unread.
first_reading as (
    select least(min(carried.from_utc), min(dirty_range.from_utc)) as from_utc
    from dirty_range
    left join carried on true
),

readings as (
    select
        snapshots.account_id,
        snapshots.observed_at_utc,
        snapshots.balance_amount,
        snapshots.unconfirmed_amount,
        snapshots.resets_at_utc,
        snapshots.quota_amount,
        snapshots.unit_code,
        snapshots.fetch_id,
        accounts.evidence_level
    from core.balance_snapshots as snapshots
    inner join core.accounts as accounts on snapshots.account_id = accounts.account_id
    cross join dirty_range
    cross join first_reading
    left join carried on snapshots.account_id = carried.account_id
    where
        snapshots.balance_amount is not null
        and snapshots.observed_at_utc >= first_reading.from_utc
        and snapshots.observed_at_utc >= coalesce(carried.from_utc, dirty_range.from_utc)
        and snapshots.observed_at_utc < dirty_range.before_utc
),

-- Requests of the same run as a balance count as simultaneous with it, although they differ by seconds.
polls as (
    select
        fetches.account_id,
        fetches.run_id,
        max(fetches.fetched_at_utc) as polled_at_utc
    from staging.fetches as fetches
    inner join staging.evidence as evidence on fetches.account_id = evidence.account_id
    inner join staging.loads as loads on fetches.fetch_id = loads.fetch_id
    cross join dirty_range
    cross join first_reading
    where
        fetches.is_complete
        and fetches.outcome = 'ok'
        and (loads.accepted_rows > 0 or loads.received_rows = 0)
        and (
            (evidence.basis = 'ledger' and not evidence.is_fallback and loads.record_kind = 'ledger_entries')
            or (evidence.basis = 'ledger' and evidence.is_fallback and loads.record_kind = 'orders')
            or (evidence.basis = 'usage' and loads.record_kind = 'usage_days')
        )
        and fetches.fetched_at_utc >= first_reading.from_utc - interval 1 day
        and fetches.fetched_at_utc < dirty_range.before_utc + interval 1 day
    group by fetches.account_id, fetches.run_id
),

paired as (
    select
        readings.*,
        polls.polled_at_utc,
        greatest(readings.observed_at_utc, coalesce(polls.polled_at_utc, readings.observed_at_utc)) as known_at_utc
    from readings
    left join staging.fetches as asked on readings.fetch_id = asked.fetch_id
    left join polls on readings.account_id = polls.account_id and asked.run_id = polls.run_id
),

stated as (
    select
        account_id,
        observed_at_utc,
        known_at_utc,
        unit_code,
        core.utc_date(observed_at_utc) as read_date
    from paired
    where evidence_level = 'usage'
),

-- Completed days since an account's first reading here, added up: as stated by now, and as first stated.
metered_days as (
    select
        usage_days.account_id,
        usage_days.usage_date,
        usage_days.unit_code,
        usage_days.credits_amount
    from core.usage_days as usage_days
    inner join (
        select
            account_id,
            min(read_date) as from_date
        from stated
        group by account_id
    ) as metered on usage_days.account_id = metered.account_id and usage_days.usage_date >= metered.from_date
),

first_stated as (
    select
        statements.account_id,
        statements.usage_date,
        arg_min(statements.credits_amount, (statements.observed_at_utc, statements.fetch_id)) as credits_amount
    from staging.usage_statements as statements
    inner join metered_days
        on statements.account_id = metered_days.account_id and statements.usage_date = metered_days.usage_date
    where not statements.is_partial and statements.credits_amount is not null
    group by statements.account_id, statements.usage_date
),

meter as (
    select
        metered_days.account_id,
        metered_days.usage_date,
        metered_days.unit_code,
        sum(metered_days.credits_amount)
            over (partition by metered_days.account_id, metered_days.unit_code order by metered_days.usage_date)
            as stated_amount,
        sum(coalesce(first_stated.credits_amount, metered_days.credits_amount))
            over (partition by metered_days.account_id, metered_days.unit_code order by metered_days.usage_date)
            as first_amount
    from metered_days
    left join first_stated
        on metered_days.account_id = first_stated.account_id and metered_days.usage_date = first_stated.usage_date
),

whole_days as (
    select
        stated.*,
        meter.stated_amount,
        meter.first_amount
    from stated
    asof left join meter
        on
            stated.account_id = meter.account_id
            and stated.unit_code = meter.unit_code
            and stated.read_date > meter.usage_date
),

read_statements as (
    select
        statements.account_id,
        statements.usage_date,
        statements.observed_at_utc,
        statements.credits_amount
    from staging.usage_statements as statements
    inner join (
        select distinct
            account_id,
            read_date
        from stated
    ) as read_days
        on statements.account_id = read_days.account_id and statements.usage_date = read_days.read_date
    where statements.credits_amount is not null
),

metered as (
    select
        whole_days.account_id,
        whole_days.observed_at_utc,
        coalesce(whole_days.stated_amount, 0)
        + case when read_days.usage_date is null then 0 else coalesce(today.credits_amount, 0) end
            as stated_meter_amount,
        coalesce(whole_days.first_amount, 0)
        + case when read_days.usage_date is null then 0 else coalesce(today.credits_amount, 0) end
            as first_meter_amount
    from whole_days
    -- A day with usage in another unit is no part of this meter.
    left join core.usage_days as read_days
        on
            whole_days.account_id = read_days.account_id
            and whole_days.read_date = read_days.usage_date
            and whole_days.unit_code = read_days.unit_code
    asof left join read_statements as today
        on
            whole_days.account_id = today.account_id
            and whole_days.read_date = today.usage_date
            and whole_days.known_at_utc >= today.observed_at_utc
),

read_meters as (
    select
        paired.*,
        metered.stated_meter_amount,
        metered.first_meter_amount
    from paired
    left join metered on paired.account_id = metered.account_id and paired.observed_at_utc = metered.observed_at_utc
),

known as (
    select
        account_id,
        lag(observed_at_utc) over following as opened_at_utc,
        observed_at_utc as closed_at_utc,
        lag(balance_amount) over following as opening_amount,
        balance_amount as closing_amount,
        lag(unit_code) over following as opening_unit_code,
        unit_code,
        evidence_level,
        lag(fetch_id) over following as opening_fetch_id,
        fetch_id as closing_fetch_id,
        lag(unconfirmed_amount) over following as opening_unconfirmed_amount,
        unconfirmed_amount as closing_unconfirmed_amount,
        lag(resets_at_utc) over following as opening_resets_at_utc,
        resets_at_utc as closing_resets_at_utc,
        lag(quota_amount) over following as opening_quota_amount,
        quota_amount as closing_quota_amount,
        cast(stated_meter_amount - lag(stated_meter_amount) over following as decimal(38, 9)) as stated_usage_amount,
        cast(first_meter_amount - lag(first_meter_amount) over following as decimal(38, 9)) as first_usage_amount,
        polled_at_utc is not null and lag(polled_at_utc) over following is not null as is_polled,
        polled_at_utc
    from read_meters
    window following as (partition by account_id order by observed_at_utc)
),

intervals as materialized (
    select
        known.*,
        row_number() over () as interval_number
    from known
    -- Amounts in different units have no difference.
    where known.opened_at_utc is not null and known.opening_unit_code = known.unit_code
),

-- -- ledger entries of the intervals -------------------------------------------------------------------------------

ends as (
    select
        account_id,
        unit_code,
        opened_at_utc,
        closed_at_utc,
        polled_at_utc,
        interval_number
    from intervals
),

entries as (
    select
        booked.account_id,
        booked.entry_id,
        booked.effective_at_utc,
        booked.entry_amount,
        booked.unit_code,
        -- A small type, because the join sorts its columns.
        cast(
            case when booked.entry_status = 'pending' then 'pending' else booked.entry_kind end
            as enum('top_up', 'usage', 'renewal', 'refund', 'adjustment', 'tax', 'other', 'pending')
        ) as component,
        booked.first_observed_at_utc,
        booked.first_entry_amount <> booked.entry_amount as is_restated,
        -- Decimals without trailing zeros.
        9 - length(cast(booked.entry_amount as varchar)) + length(rtrim(cast(booked.entry_amount as varchar), '0'))
            as decimal_count
    from core.ledger_entries as booked
    cross join dirty_range
    left join carried on booked.account_id = carried.account_id
    where
        booked.effective_at_utc > coalesce(carried.from_utc, dirty_range.from_utc)
        and booked.effective_at_utc < dirty_range.before_utc
        and booked.entry_status <> 'void'
),

documented as (
    select
        ends.interval_number,
        sum(entries.entry_amount) filter (where entries.component = 'top_up') as top_up_amount,
        sum(entries.entry_amount) filter (where entries.component = 'refund') as refund_amount,
        sum(entries.entry_amount) filter (where entries.component = 'usage') as usage_amount,
        sum(entries.entry_amount) filter (where entries.component = 'renewal') as renewal_amount,
        sum(entries.entry_amount) filter (where entries.component in ('adjustment', 'other')) as adjustment_amount,
        sum(entries.entry_amount) filter (where entries.component = 'tax') as tax_amount,
        sum(entries.entry_amount) filter (where entries.component = 'pending') as pending_amount,
        count(*) filter (where entries.component <> 'pending') as entry_count,
        array_to_string(list_sort(list(entries.entry_id)), ' ') as entry_ids,
        bool_or(entries.first_observed_at_utc > ends.polled_at_utc) as has_late,
        bool_or(entries.is_restated) as has_restated,
        max(entries.decimal_count) as decimal_count
    from entries
    asof inner join ends
        on entries.account_id = ends.account_id and entries.effective_at_utc <= ends.closed_at_utc
    -- An entry in another unit than the balance does not explain it.
    where entries.effective_at_utc > ends.opened_at_utc and entries.unit_code = ends.unit_code
    group by ends.interval_number
),

summed as (
    select
        intervals.*,
        coalesce(documented.top_up_amount, 0) as top_up_amount,
        coalesce(documented.refund_amount, 0) as refund_amount,
        coalesce(documented.usage_amount, 0) - coalesce(intervals.stated_usage_amount, 0) as usage_amount,
        coalesce(documented.renewal_amount, 0) as renewal_amount,
        coalesce(documented.adjustment_amount, 0) as adjustment_amount,
        coalesce(documented.tax_amount, 0) as tax_amount,
        coalesce(documented.pending_amount, 0) as open_amount,
        coalesce(documented.entry_count, 0) as entry_count,
        documented.entry_ids,
        coalesce(documented.has_late, false) as has_late,
        coalesce(documented.has_restated, false)
        or coalesce(intervals.stated_usage_amount <> intervals.first_usage_amount, false) as has_restated,
        documented.decimal_count
    from intervals
    left join documented on intervals.interval_number = documented.interval_number
),

left_over as (
    select
        *,
        closing_amount - opening_amount - top_up_amount - refund_amount - usage_amount - renewal_amount
        - adjustment_amount - tax_amount as beyond_amount
    from summed
),

-- What a reset of the quota moved the balance by. Without documents of spend, at least what is gone of the full size
-- was spent since; with them, a rise beyond them is the reset's.
reset as (
    select
        *,
        case
            when open_amount <> 0 and beyond_amount = open_amount then 0
            when
                evidence_level = 'balance'
                and coalesce(closing_quota_amount, opening_quota_amount) is not null
                and core.passes_reset(opened_at_utc, closed_at_utc, opening_resets_at_utc, closing_resets_at_utc)
                then
                    beyond_amount
                    + greatest(coalesce(closing_quota_amount, opening_quota_amount) - closing_amount, 0)
            when
                core.may_reset(
                    closed_at_utc,
                    opening_resets_at_utc,
                    closing_resets_at_utc,
                    opening_quota_amount,
                    closing_quota_amount
                )
                then
                    greatest(
                        beyond_amount,
                        case
                            when evidence_level = 'balance'
                                then coalesce(closing_quota_amount - opening_quota_amount, 0)
                            else least(coalesce(closing_quota_amount - opening_quota_amount, 0), 0)
                        end
                    )
            else 0
        end as quota_reset_amount
    from left_over
)

select
    -- ids
    account_id,
    opened_at_utc,
    closed_at_utc,

    -- amounts
    opening_amount,
    closing_amount,
    unit_code,
    evidence_level,
    opening_fetch_id,
    closing_fetch_id,
    opening_unconfirmed_amount,
    closing_unconfirmed_amount,
    stated_usage_amount,
    first_usage_amount,

    -- documents
    cast(top_up_amount as decimal(38, 9)) as top_up_amount,
    cast(refund_amount as decimal(38, 9)) as refund_amount,
    cast(usage_amount as decimal(38, 9)) as usage_amount,
    cast(renewal_amount as decimal(38, 9)) as renewal_amount,
    cast(adjustment_amount as decimal(38, 9)) as adjustment_amount,
    cast(tax_amount as decimal(38, 9)) as tax_amount,
    -- An entry that has not settled counts if the balance has already moved by it.
    cast(case when beyond_amount - quota_reset_amount = open_amount then open_amount else 0 end as decimal(38, 9))
        as pending_amount,
    cast(quota_reset_amount as decimal(38, 9)) as quota_reset_amount,
    cast(
        case
            when beyond_amount - quota_reset_amount = open_amount then 0
            else beyond_amount - quota_reset_amount
        end as decimal(38, 9)
    ) as residual_amount,
    entry_count,
    entry_ids,

    -- decimals
    greatest(
        9 - length(cast(opening_amount as varchar)) + length(rtrim(cast(opening_amount as varchar), '0')),
        9 - length(cast(closing_amount as varchar)) + length(rtrim(cast(closing_amount as varchar), '0'))
    ) as balance_decimal_count,
    greatest(
        coalesce(decimal_count, 0),
        9 - length(cast(coalesce(stated_usage_amount, 0) as varchar))
        + length(rtrim(cast(coalesce(stated_usage_amount, 0) as varchar), '0'))
    ) as document_decimal_count,

    -- evidence
    is_polled,
    polled_at_utc,
    has_late,
    has_restated
from reset
