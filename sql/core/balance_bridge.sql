-- Where the money went in each interval. What the documents say is added up; what is then left over is the residual,
-- which is inferred (where only balances or usage are known), or else stays unexplained under the name of what it
-- looks like. A document only explains the interval that it falls in: opened < effective <= closed.
with

months as (
    select
        min(touched_month) as first_date,
        cast(max(touched_month) + interval 1 month as date) as next_first_date
    from staging.touched_months
    where table_name = 'core.balance_bridge'
),

hull as (
    select
        cast(first_date as timestamp) at time zone 'UTC' as from_utc,
        cast(next_first_date as timestamp) at time zone 'UTC' as before_utc
    from months
),

-- An interval is judged beside its neighbours, and a rise beside the falls of the 28 days before it.
carried as (
    select
        intervals.account_id,
        max(case when intervals.closed_at_utc < hull.from_utc then intervals.closed_at_utc end) as from_utc,
        min(case when intervals.closed_at_utc >= hull.before_utc then intervals.closed_at_utc end) as to_utc
    from core.balance_intervals as intervals
    cross join hull
    group by intervals.account_id
),

intervals as (
    select known.*
    from core.balance_intervals as known
    inner join carried on known.account_id = carried.account_id
    cross join hull
    where
        known.closed_at_utc >= least(coalesce(carried.from_utc, hull.from_utc), hull.from_utc - interval 29 day)
        and known.closed_at_utc <= coalesce(carried.to_utc, hull.before_utc)
),

-- -- what is documented --------------------------------------------------------------------------------------------

reach as (
    select
        min(opened_at_utc) as from_utc,
        max(closed_at_utc) as to_utc
    from intervals
),

placed as materialized (
    select
        entries.account_id,
        intervals.closed_at_utc,
        intervals.polled_at_utc,
        entries.entry_id,
        entries.effective_at_utc,
        entries.entry_amount,
        entries.first_entry_amount,
        entries.first_observed_at_utc,
        entries.entry_kind,
        entries.entry_status
    from (
        select known.*
        from core.ledger_entries as known
        cross join reach
        where
            known.effective_at_utc > reach.from_utc
            and known.effective_at_utc <= reach.to_utc
            and known.entry_status <> 'void'
    ) as entries
    asof inner join intervals
        on entries.account_id = intervals.account_id and entries.effective_at_utc <= intervals.closed_at_utc
    -- An entry in another unit than the balance's is no part of it.
    where entries.effective_at_utc > intervals.opened_at_utc and entries.unit_code = intervals.unit_code
),

documented as (
    select
        account_id,
        closed_at_utc,
        sum(case when entry_kind = 'top_up' and entry_status <> 'pending' then entry_amount end) as top_up_amount,
        sum(case when entry_kind = 'refund' and entry_status <> 'pending' then entry_amount end) as refund_amount,
        sum(case when entry_kind = 'usage' and entry_status <> 'pending' then entry_amount end) as usage_amount,
        sum(case when entry_kind = 'renewal' and entry_status <> 'pending' then entry_amount end)
            as renewal_amount,
        sum(case when entry_kind in ('adjustment', 'other') and entry_status <> 'pending' then entry_amount end)
            as adjustment_amount,
        sum(case when entry_kind = 'tax' and entry_status <> 'pending' then entry_amount end) as tax_amount,
        sum(case when entry_status = 'pending' then entry_amount end) as pending_amount,
        count(case when entry_status <> 'pending' then 1 end) as entry_count,
        array_to_string(list_sort(list(entry_id)), ' ') as entry_ids,
        bool_or(first_observed_at_utc > polled_at_utc) as has_late,
        bool_or(first_entry_amount <> entry_amount) as has_restated
    from placed
    group by account_id, closed_at_utc
),

-- Where payments are documented, no rise is inferred: it would be one payment twice.
payers as (
    select distinct account_id
    from core.ledger_entries
    where entry_kind = 'top_up' and entry_status = 'settled'
),

summed as (
    select
        intervals.*,
        payers.account_id is not null as has_documented_top_ups,
        coalesce(documented.top_up_amount, 0) as documented_top_up_amount,
        coalesce(documented.refund_amount, 0) as documented_refund_amount,
        coalesce(documented.usage_amount, 0) - coalesce(intervals.stated_usage_amount, 0) as documented_usage_amount,
        coalesce(documented.renewal_amount, 0) as renewal_amount,
        coalesce(documented.adjustment_amount, 0) as adjustment_amount,
        coalesce(documented.tax_amount, 0) as tax_amount,
        coalesce(documented.pending_amount, 0) as open_amount,
        coalesce(documented.entry_count, 0) as entry_count,
        documented.entry_ids,
        coalesce(documented.has_late, false) as has_late,
        coalesce(documented.has_restated, false)
        or coalesce(intervals.stated_usage_amount <> intervals.first_usage_amount, false) as has_restated
    from intervals
    left join documented
        on intervals.account_id = documented.account_id and intervals.closed_at_utc = documented.closed_at_utc
    left join payers on intervals.account_id = payers.account_id
),

left_over as (
    select
        *,
        closing_amount - opening_amount - documented_top_up_amount - documented_refund_amount
        - documented_usage_amount - renewal_amount - adjustment_amount - tax_amount as beyond_amount
    from summed
),

-- An entry that is not settled yet counts where the balance has moved by it already.
residuals as materialized (
    select
        *,
        case when beyond_amount <> 0 and beyond_amount = open_amount then open_amount else 0 end as pending_amount,
        case when beyond_amount <> 0 and beyond_amount = open_amount then 0 else beyond_amount end as residual_amount
    from left_over
),

-- -- what is left over, beside its neighbours ----------------------------------------------------------------------

odd as materialized (
    select
        account_id,
        opened_at_utc,
        closed_at_utc,
        residual_amount,
        evidence_level,
        is_polled,
        polled_at_utc,
        stated_usage_amount,
        first_usage_amount,
        opening_unconfirmed_amount,
        closing_unconfirmed_amount,
        has_documented_top_ups
    from residuals
    where residual_amount <> 0
),

priced as (
    select
        residuals.account_id,
        residuals.closed_at_utc,
        residuals.residual_amount,
        cast(residuals.closing_amount - residuals.opening_amount as double)
        / nullif(cast(residuals.stated_usage_amount as double), 0) as price
    from residuals
    inner join (select distinct odd.account_id from odd) as concerned on residuals.account_id = concerned.account_id
),

beside as (
    select
        account_id,
        closed_at_utc,
        price,
        lag(closed_at_utc) over following as closed_before_utc,
        lag(residual_amount) over following as residual_before_amount,
        lag(price) over following as price_before,
        lead(closed_at_utc) over following as closed_after_utc,
        lead(residual_amount) over following as residual_after_amount,
        lead(price) over following as price_after
    from priced
    window following as (partition by account_id order by closed_at_utc)
),

-- The entries of the odd intervals, with all that is said of them.
suspicious as (
    select
        odd.account_id,
        odd.closed_at_utc,
        odd.residual_amount,
        entries.entry_id,
        entries.effective_at_utc,
        entries.entry_amount,
        entries.first_entry_amount,
        entries.entry_kind,
        entries.description,
        sign(entries.entry_amount) * abs(entries.gross_amount) as taxed_amount
    from odd
    inner join placed
        on
            odd.account_id = placed.account_id
            and odd.closed_at_utc = placed.closed_at_utc
            and placed.entry_status <> 'pending'
    inner join core.ledger_entries as entries
        on placed.account_id = entries.account_id and placed.entry_id = entries.entry_id
    where odd.evidence_level <> 'balance'
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
                    try_cast(suspicious.entry_amount as decimal(18, 4)) * try_cast(accounts.tax_rate as decimal(9, 6)),
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

-- An entry whose like is booked within a day under another id, and that the balance never moved by.
twins as (
    select distinct
        suspicious.account_id,
        suspicious.closed_at_utc
    from suspicious
    inner join core.ledger_entries as likes
        on
            suspicious.account_id = likes.account_id
            and suspicious.entry_id <> likes.entry_id
            and suspicious.entry_amount = likes.entry_amount
            and suspicious.entry_kind = likes.entry_kind
            and suspicious.description is not distinct from likes.description
            and likes.entry_status <> 'void'
            and likes.effective_at_utc between suspicious.effective_at_utc - interval 1 day
            and suspicious.effective_at_utc + interval 1 day
    where suspicious.residual_amount = -suspicious.entry_amount
),

-- What an account is used to pay: an absent entry has the size of one that is known.
usual as (
    select distinct
        odd.account_id,
        odd.closed_at_utc
    from odd
    inner join core.ledger_entries as likes
        on
            odd.account_id = likes.account_id
            and odd.residual_amount = likes.entry_amount
            and likes.entry_status <> 'void'
            and likes.effective_at_utc between odd.opened_at_utc - interval 92 day
            and odd.closed_at_utc + interval 92 day
),

-- How much a day went in the 28 days before a rise, where no ledger tells what the rise was.
falls as (
    select
        account_id,
        cast(closed_at_utc at time zone 'UTC' as date) as fall_date,
        sum(documented_usage_amount)
        + sum(case when evidence_level = 'balance' and residual_amount < 0 then residual_amount else 0 end)
            as fall_amount
    from residuals
    where evidence_level <> 'ledger'
    group by account_id, cast(closed_at_utc at time zone 'UTC' as date)
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
            when compared.evidence_level = 'balance' and compared.residual_amount < 0 then 'fall'
            when compared.evidence_level = 'balance' and compared.has_documented_top_ups then 'unknown'
            when
                compared.evidence_level = 'balance'
                and compared.residual_amount >= coalesce(accounts.topup_minimum_amount, rises.usual_amount)
                then 'rise'
            when compared.evidence_level = 'balance' then 'refund'
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
            when compared.is_boundary then 'boundary'
            when twins.account_id is not null then 'duplicate_entry'
            when compared.is_tax then 'tax'
            -- Days that were each rounded to nine decimals need not add up to a balance that was rounded once.
            when
                compared.evidence_level = 'usage'
                and (not compared.is_polled or abs(compared.residual_amount) <= 0.00000001)
                then 'boundary'
            when compared.evidence_level = 'usage' and compared.is_priced then 'unit_price'
            when
                compared.evidence_level = 'usage'
                and not compared.has_documented_top_ups
                and compared.residual_amount >= coalesce(accounts.topup_minimum_amount, rises.usual_amount)
                then 'rise'
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
        end as looks_like
    from compared
    inner join core.accounts as accounts on compared.account_id = accounts.account_id
    left join staging.evidence as evidence on compared.account_id = evidence.account_id
    left join twins on compared.account_id = twins.account_id and compared.closed_at_utc = twins.closed_at_utc
    left join usual on compared.account_id = usual.account_id and compared.closed_at_utc = usual.closed_at_utc
    left join rises on compared.account_id = rises.account_id and compared.closed_at_utc = rises.closed_at_utc
),

named as (
    select
        residuals.*,
        judged.looks_like,
        case when judged.looks_like in ('rise', 'refund', 'fall') then residuals.residual_amount else 0 end
            as inferred_amount
    from residuals
    left join judged
        on residuals.account_id = judged.account_id and residuals.closed_at_utc = judged.closed_at_utc
)

select
    -- ids
    account_id,
    opened_at_utc,
    closed_at_utc,

    -- from one balance to the next
    opening_amount,
    cast(documented_top_up_amount + case when looks_like = 'rise' then inferred_amount else 0 end as decimal(38, 9))
        as top_up_amount,
    cast(documented_refund_amount + case when looks_like = 'refund' then inferred_amount else 0 end as decimal(38, 9))
        as refund_amount,
    cast(documented_usage_amount + case when looks_like = 'fall' then inferred_amount else 0 end as decimal(38, 9))
        as usage_amount,
    cast(renewal_amount as decimal(38, 9)) as renewal_amount,
    cast(adjustment_amount as decimal(38, 9)) as adjustment_amount,
    cast(pending_amount as decimal(38, 9)) as pending_amount,
    cast(tax_amount as decimal(38, 9)) as tax_amount,
    cast(residual_amount - inferred_amount as decimal(38, 9)) as unexplained_amount,
    closing_amount,
    unit_code,

    -- how well it is known
    cast(case when looks_like = 'rise' then inferred_amount else 0 end as decimal(38, 9)) as inferred_top_up_amount,
    case when looks_like not in ('rise', 'refund', 'fall') then looks_like end as unexplained_class,
    case when has_late then 'late_entry' when has_restated then 'restated' end as history_class,
    evidence_level,

    -- what it rests on
    entry_count,
    entry_ids,
    opening_fetch_id,
    closing_fetch_id
from named
