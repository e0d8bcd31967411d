-- What the documents of an interval leave over: inferred money where only balances or usage are known, or else what it
-- looks like.
with

months as (
    select
        min(touched_month) as first_date,
        cast(max(touched_month) + interval 1 month as date) as next_first_date
    from staging.touched_months
    where table_name = 'core.balance_residuals'
),

hull as (
    select
        cast(first_date as timestamp) at time zone 'UTC' as from_utc,
        cast(next_first_date as timestamp) at time zone 'UTC' as before_utc
    from months
),

-- -- what is left over, beside its neighbours ----------------------------------------------------------------------

-- Neighbours are looked for within 92 days.
near as (
    select
        intervals.account_id,
        intervals.closed_at_utc,
        intervals.residual_amount,
        intervals.evidence_level,
        intervals.unit_code,
        intervals.usage_amount,
        intervals.balance_decimal_count,
        intervals.document_decimal_count,
        cast(intervals.closing_amount - intervals.opening_amount as double)
        / nullif(cast(intervals.stated_usage_amount as double), 0) as price
    from core.balance_intervals as intervals
    cross join hull
    where
        intervals.closed_at_utc >= hull.from_utc - interval 92 day
        and intervals.closed_at_utc < hull.before_utc + interval 92 day
),

odd as materialized (
    select intervals.*
    from core.balance_intervals as intervals
    cross join hull
    where
        intervals.closed_at_utc >= hull.from_utc - interval 92 day
        and intervals.closed_at_utc < hull.before_utc + interval 92 day
        and intervals.residual_amount <> 0
),

beside as (
    select
        account_id,
        closed_at_utc,
        price,
        -- What is further off is no neighbour: it may lie beyond what is read here.
        case
            when lag(closed_at_utc) over following >= closed_at_utc - interval 92 day
                then lag(closed_at_utc) over following
        end as closed_before_utc,
        case
            when lag(closed_at_utc) over following >= closed_at_utc - interval 92 day
                then lag(residual_amount) over following
        end as residual_before_amount,
        case
            when lag(closed_at_utc) over following >= closed_at_utc - interval 92 day
                then lag(price) over following
        end as price_before,
        case
            when lead(closed_at_utc) over following <= closed_at_utc + interval 92 day
                then lead(closed_at_utc) over following
        end as closed_after_utc,
        case
            when lead(closed_at_utc) over following <= closed_at_utc + interval 92 day
                then lead(residual_amount) over following
        end as residual_after_amount,
        case
            when lead(closed_at_utc) over following <= closed_at_utc + interval 92 day
                then lead(price) over following
        end as price_after,
        -- A number of whole euros does not tell that cents are never stated: its neighbours may, and of a currency
        -- cents always count.
        greatest(max(balance_decimal_count) over around, case when unit_code like '%-%' then 0 else 2 end)
            as balance_decimal_count,
        greatest(max(document_decimal_count) over around, case when unit_code like '%-%' then 0 else 2 end)
            as document_decimal_count
    from near
    where account_id in (select odd.account_id from odd)
    window
        following as (partition by account_id, unit_code order by closed_at_utc),
        around as (
            partition by account_id, unit_code order by closed_at_utc
            range between interval 92 day preceding and interval 92 day following
        )
),

-- The entries of the odd intervals, with all that is said of them.
listed as (
    select
        account_id,
        closed_at_utc,
        residual_amount,
        unnest(string_split(entry_ids, ' ')) as entry_id
    from odd
    where evidence_level <> 'balance'
),

suspicious as materialized (
    select
        listed.account_id,
        listed.closed_at_utc,
        listed.residual_amount,
        listed.entry_id,
        entries.effective_at_utc,
        entries.entry_amount,
        entries.first_entry_amount,
        entries.entry_kind,
        entries.description,
        sign(entries.entry_amount) * abs(entries.gross_amount) as taxed_amount
    from listed
    inner join core.ledger_entries as entries
        on listed.account_id = entries.account_id and listed.entry_id = entries.entry_id
    where entries.entry_status <> 'pending'
),

-- What each entry of an odd interval would explain by itself. The rate is the owner's, where the vendor names no tax.
suspects as materialized (
    select
        suspicious.account_id,
        suspicious.closed_at_utc,
        bool_or(suspicious.first_entry_amount - suspicious.entry_amount = suspicious.residual_amount) as is_restated,
        coalesce(
            bool_or(suspicious.taxed_amount - suspicious.entry_amount = suspicious.residual_amount), false
        )
        or sum(coalesce(suspicious.taxed_amount, suspicious.entry_amount) - suspicious.entry_amount)
        = min(suspicious.residual_amount)
        or coalesce(
            bool_or(
                round(
                    cast(suspicious.entry_amount as decimal(25, 9)) * try_cast(accounts.tax_rate as decimal(9, 6)),
                    2
                )
                = suspicious.residual_amount
            ),
            false
        ) as is_tax,
        bool_or(suspicious.entry_amount = -suspicious.residual_amount) as has_counterpart,
        max(abs(suspicious.entry_amount)) as largest_amount,
        bool_or(sign(suspicious.entry_amount) <> sign(suspicious.residual_amount)) as has_opposite
    from suspicious
    inner join core.accounts as accounts on suspicious.account_id = accounts.account_id
    group by suspicious.account_id, suspicious.closed_at_utc
),

-- Every entry of the size of what is left over in an odd interval, within 92 days of it.
likes as materialized (
    select
        odd.account_id,
        odd.closed_at_utc,
        odd.residual_amount,
        entries.entry_id,
        entries.effective_at_utc,
        entries.entry_amount,
        entries.entry_kind,
        entries.description
    from odd
    inner join core.ledger_entries as entries
        on
            odd.account_id = entries.account_id
            and odd.unit_code = entries.unit_code
            and abs(odd.residual_amount) = abs(entries.entry_amount)
    where
        entries.entry_status <> 'void'
        and entries.effective_at_utc between odd.opened_at_utc - interval 92 day
        and odd.closed_at_utc + interval 92 day
),

-- An entry whose like is booked within a day under another id, and that the balance never moved by.
twins as (
    select distinct
        suspicious.account_id,
        suspicious.closed_at_utc
    from suspicious
    inner join likes
        on
            suspicious.account_id = likes.account_id
            and suspicious.closed_at_utc = likes.closed_at_utc
            and suspicious.entry_id <> likes.entry_id
            and suspicious.entry_amount = likes.entry_amount
            and suspicious.entry_kind = likes.entry_kind
            and suspicious.description is not distinct from likes.description
            and likes.effective_at_utc between suspicious.effective_at_utc - interval 1 day
            and suspicious.effective_at_utc + interval 1 day
    where suspicious.residual_amount = -suspicious.entry_amount
),

-- What an account is used to pay: an absent entry has the size of one that is known.
usual as (
    select distinct
        account_id,
        closed_at_utc
    from likes
    where residual_amount = entry_amount
),

-- How much a day went in the 28 days before a rise, where no ledger tells what the rise was.
falls as (
    select
        account_id,
        unit_code,
        cast(closed_at_utc at time zone 'UTC' as date) as fall_date,
        sum(usage_amount)
        + sum(case when evidence_level = 'balance' and residual_amount < 0 then residual_amount else 0 end)
            as fall_amount
    from near
    where evidence_level <> 'ledger'
    group by account_id, unit_code, cast(closed_at_utc at time zone 'UTC' as date)
),

rises as (
    select
        odd.account_id,
        odd.closed_at_utc,
        coalesce(-sum(falls.fall_amount) / 28, 0) as usual_amount
    from odd
    left join falls
        on
            odd.account_id = falls.account_id
            and odd.unit_code = falls.unit_code
            and falls.fall_date < cast(odd.closed_at_utc at time zone 'UTC' as date)
            and falls.fall_date >= cast(odd.closed_at_utc at time zone 'UTC' as date) - 28
    where odd.residual_amount > 0 and odd.evidence_level <> 'ledger'
    group by odd.account_id, odd.closed_at_utc
),

-- What was booked in one interval and moved the balance in the next leaves two residuals that cancel each other.
compared as (
    select
        odd.*,
        suspects.is_restated,
        suspects.is_tax,
        suspects.largest_amount,
        suspects.has_opposite,
        (
            beside.residual_before_amount = -odd.residual_amount
            and (odd.evidence_level = 'usage' or suspects.has_counterpart or before.has_counterpart)
        )
        or (
            beside.residual_after_amount = -odd.residual_amount
            and (odd.evidence_level = 'usage' or suspects.has_counterpart or after.has_counterpart)
        ) as is_boundary,
        -- Two balances are each rounded by half of their last digit at most, and so is each document.
        case
            when odd.document_decimal_count > beside.balance_decimal_count
                then abs(odd.residual_amount) < cast(power(10, -beside.balance_decimal_count) as decimal(38, 9))
            when odd.balance_decimal_count > beside.document_decimal_count
                then
                    (odd.entry_count > 0 or odd.stated_usage_amount <> 0)
                    and abs(odd.residual_amount)
                    <= cast(0.5 * power(10, -beside.document_decimal_count) as decimal(38, 9))
                    * case
                        when odd.evidence_level = 'usage'
                            then
                                1 + cast(odd.closed_at_utc at time zone 'UTC' as date)
                                - cast(odd.opened_at_utc at time zone 'UTC' as date)
                        else odd.entry_count
                    end
                    -- What is missing of a document has no more digits than documents have.
                    and 9 - length(cast(odd.residual_amount as varchar))
                    + length(rtrim(cast(odd.residual_amount as varchar), '0')) > beside.document_decimal_count
            else false
        end as is_rounding,
        abs(beside.price + 1) > 1e-6
        and (
            abs(beside.price / nullif(beside.price_before, 0) - 1) < 1e-9
            or abs(beside.price / nullif(beside.price_after, 0) - 1) < 1e-9
        ) as is_priced
    from odd
    inner join beside on odd.account_id = beside.account_id and odd.closed_at_utc = beside.closed_at_utc
    left join suspects on odd.account_id = suspects.account_id and odd.closed_at_utc = suspects.closed_at_utc
    left join suspects as before
        on odd.account_id = before.account_id and beside.closed_before_utc = before.closed_at_utc
    left join suspects as after
        on odd.account_id = after.account_id and beside.closed_after_utc = after.closed_at_utc
),

-- -- what it looks like --------------------------------------------------------------------------------------------

judged as (
    select
        compared.account_id,
        compared.closed_at_utc,
        case
            when compared.evidence_level = 'balance' and compared.residual_amount < 0 then 'inferred_usage'
            when compared.evidence_level = 'balance' and owners.has_documented_top_ups then 'unknown'
            when
                compared.evidence_level = 'balance'
                and compared.residual_amount >= coalesce(smallest.topup_minimum_amount, rises.usual_amount)
                then 'inferred_top_up'
            when compared.evidence_level = 'balance' then 'inferred_refund'
            when
                compared.stated_usage_amount - compared.first_usage_amount = compared.residual_amount
                or compared.is_restated
                then 'restated'
            when
                abs(compared.residual_amount)
                = abs(
                    coalesce(compared.opening_unconfirmed_amount, 0) - coalesce(compared.closing_unconfirmed_amount, 0)
                )
                then 'pending_deposit'
            when compared.is_rounding then 'rounding'
            when compared.is_boundary then 'boundary'
            when twins.account_id is not null then 'duplicate_entry'
            when compared.is_tax then 'tax'
            -- Days that were each rounded to nine decimals need not add up to a balance that was rounded once.
            when
                compared.evidence_level = 'usage' and compared.is_polled and abs(compared.residual_amount) <= 0.00000001
                then 'rounding'
            when compared.evidence_level = 'usage' and not compared.is_polled then 'boundary'
            when compared.evidence_level = 'usage' and compared.is_priced then 'unit_price'
            when
                compared.evidence_level = 'usage'
                and not owners.has_documented_top_ups
                and compared.residual_amount >= coalesce(smallest.topup_minimum_amount, rises.usual_amount)
                then 'inferred_top_up'
            -- Usage that the vendor has not stated, or not yet.
            when compared.evidence_level = 'usage' and compared.residual_amount < 0 then 'missing_entry'
            when compared.evidence_level = 'usage' then 'unknown'
            -- The ledger has not been read since.
            when
                compared.polled_at_utc is null
                and evidence.through_date < cast(compared.closed_at_utc at time zone 'UTC' as date)
                then 'unknown'
            when compared.largest_amount is null or usual.account_id is not null then 'missing_entry'
            when abs(compared.residual_amount) < compared.largest_amount or compared.has_opposite
                then 'amount_mismatch'
            else 'missing_entry'
        end as residual_class
    from compared
    inner join core.accounts as owners on compared.account_id = owners.account_id
    -- The owner's smallest top-up is an amount of the unit that the account is in now.
    left join core.accounts as smallest
        on compared.account_id = smallest.account_id and compared.unit_code = smallest.unit_code
    left join staging.evidence as evidence on compared.account_id = evidence.account_id
    left join twins on compared.account_id = twins.account_id and compared.closed_at_utc = twins.closed_at_utc
    left join usual on compared.account_id = usual.account_id and compared.closed_at_utc = usual.closed_at_utc
    left join rises on compared.account_id = rises.account_id and compared.closed_at_utc = rises.closed_at_utc
)

select
    account_id,
    closed_at_utc,
    residual_class
from judged
