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

placed as (
    select
        entries.account_id,
        intervals.opened_at_utc,
        intervals.closed_at_utc,
        intervals.polled_at_utc,
        entries.entry_id,
        entries.effective_at_utc,
        entries.entry_amount,
        entries.first_entry_amount,
        entries.first_observed_at_utc,
        entries.entry_kind,
        entries.entry_status,
        entries.gross_amount,
        entries.description
    from (
        select known.*
        from core.ledger_entries as known
        cross join reach
        where known.effective_at_utc > reach.from_utc and known.effective_at_utc <= reach.to_utc
    ) as entries
    asof inner join intervals
        on entries.account_id = intervals.account_id and entries.effective_at_utc <= intervals.closed_at_utc
    where
        entries.effective_at_utc > intervals.opened_at_utc
        and entries.entry_status <> 'void'
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
        string_agg(entry_id, ' ' order by effective_at_utc, entry_id) as entry_ids,
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
residuals as (
    select
        *,
        case when beyond_amount <> 0 and beyond_amount = open_amount then open_amount else 0 end as pending_amount,
        case when beyond_amount <> 0 and beyond_amount = open_amount then 0 else beyond_amount end as residual_amount
    from left_over
),

-- -- what is left over, beside its neighbours ----------------------------------------------------------------------

odd as (
    select
        account_id,
        opened_at_utc,
        closed_at_utc,
        residual_amount
    from residuals
    where residual_amount <> 0 and evidence_level <> 'balance'
),

-- What each entry of an odd interval would explain by itself. The rate is the owner's, where the vendor names no tax.
suspects as (
    select
        odd.account_id,
        odd.closed_at_utc,
        count(*) as settled_count,
        bool_or(placed.first_entry_amount - placed.entry_amount = odd.residual_amount) as is_restated,
        bool_or(
            sign(placed.entry_amount) * abs(placed.gross_amount) - placed.entry_amount = odd.residual_amount
        )
        or coalesce(
            sum(
                sign(placed.entry_amount) * abs(coalesce(placed.gross_amount, placed.entry_amount))
                - placed.entry_amount
            )
            = min(odd.residual_amount),
            false
        )
        or bool_or(
            coalesce(
                round(
                    try_cast(placed.entry_amount as decimal(18, 4)) * try_cast(accounts.tax_rate as decimal(9, 6)), 2
                )
                = odd.residual_amount,
                false
            )
        ) as is_tax,
        bool_or(placed.entry_amount = -odd.residual_amount) as has_counterpart,
        max(abs(placed.entry_amount)) as largest_amount,
        bool_or(sign(placed.entry_amount) <> sign(odd.residual_amount)) as has_opposite
    from odd
    inner join placed
        on
            odd.account_id = placed.account_id
            and odd.closed_at_utc = placed.closed_at_utc
            and placed.entry_status <> 'pending'
    inner join core.accounts as accounts on odd.account_id = accounts.account_id
    group by odd.account_id, odd.closed_at_utc
),

-- What was booked in one interval and moved the balance in the next leaves two residuals that cancel each other.
neighbours as (
    select
        residuals.*,
        suspects.settled_count,
        suspects.is_restated,
        suspects.is_tax,
        suspects.largest_amount,
        suspects.has_opposite,
        (
            residuals.residual_amount = -lag(residuals.residual_amount) over following
            and (
                residuals.evidence_level = 'usage'
                or coalesce(suspects.has_counterpart, false)
                or coalesce(lag(suspects.has_counterpart) over following, false)
            )
        )
        or (
            residuals.residual_amount = -lead(residuals.residual_amount) over following
            and (
                residuals.evidence_level = 'usage'
                or coalesce(suspects.has_counterpart, false)
                or coalesce(lead(suspects.has_counterpart) over following, false)
            )
        ) as is_boundary,
        abs(residuals.price + 1) > 1e-6
        and (
            abs(residuals.price / nullif(lag(residuals.price) over following, 0) - 1) < 1e-9
            or abs(residuals.price / nullif(lead(residuals.price) over following, 0) - 1) < 1e-9
        ) as is_priced
    from (
        select
            *,
            cast(closing_amount - opening_amount as double) / nullif(cast(stated_usage_amount as double), 0) as price
        from residuals
    ) as residuals
    left join suspects
        on residuals.account_id = suspects.account_id and residuals.closed_at_utc = suspects.closed_at_utc
    window following as (partition by residuals.account_id order by residuals.closed_at_utc)
),

-- An entry whose like is booked within a day under another id, and that the balance never moved by.
twins as (
    select distinct
        odd.account_id,
        odd.closed_at_utc
    from odd
    inner join placed
        on
            odd.account_id = placed.account_id
            and odd.closed_at_utc = placed.closed_at_utc
            and odd.residual_amount = -placed.entry_amount
    inner join core.ledger_entries as likes
        on
            placed.account_id = likes.account_id
            and placed.entry_id <> likes.entry_id
            and placed.entry_amount = likes.entry_amount
            and placed.entry_kind = likes.entry_kind
            and placed.description is not distinct from likes.description
            and likes.entry_status <> 'void'
            and likes.effective_at_utc between placed.effective_at_utc - interval 1 day
            and placed.effective_at_utc + interval 1 day
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
        residuals.account_id,
        residuals.closed_at_utc,
        coalesce(-sum(falls.fall_amount) / 28, 0) as usual_amount
    from residuals
    left join falls
        on
            residuals.account_id = falls.account_id
            and falls.fall_date < cast(residuals.closed_at_utc at time zone 'UTC' as date)
            and falls.fall_date >= cast(residuals.closed_at_utc at time zone 'UTC' as date) - 28
    where residuals.residual_amount > 0 and residuals.evidence_level <> 'ledger'
    group by residuals.account_id, residuals.closed_at_utc
),

-- -- what it looks like --------------------------------------------------------------------------------------------

judged as (
    select
        neighbours.*,
        case
            when neighbours.residual_amount = 0 then 'nothing'
            when neighbours.evidence_level = 'balance' and neighbours.residual_amount < 0 then 'fall'
            when neighbours.evidence_level = 'balance' and neighbours.has_documented_top_ups then 'unknown'
            when
                neighbours.evidence_level = 'balance'
                and neighbours.residual_amount >= coalesce(accounts.topup_minimum_amount, rises.usual_amount)
                then 'rise'
            when neighbours.evidence_level = 'balance' then 'refund'
            when
                neighbours.stated_usage_amount - neighbours.first_usage_amount = neighbours.residual_amount
                or neighbours.is_restated
                then 'restated'
            when
                abs(neighbours.residual_amount)
                = abs(
                    coalesce(neighbours.opening_unconfirmed_amount, 0)
                    - coalesce(neighbours.closing_unconfirmed_amount, 0)
                )
                then 'pending_deposit'
            when neighbours.is_boundary then 'boundary'
            when twins.account_id is not null then 'duplicate_entry'
            when neighbours.is_tax then 'tax'
            -- Days that were each rounded to nine decimals need not add up to a balance that was rounded once.
            when
                neighbours.evidence_level = 'usage'
                and (not neighbours.is_polled or abs(neighbours.residual_amount) <= 0.00000001)
                then 'boundary'
            when neighbours.evidence_level = 'usage' and neighbours.is_priced then 'unit_price'
            when
                neighbours.evidence_level = 'usage'
                and not neighbours.has_documented_top_ups
                and neighbours.residual_amount >= coalesce(accounts.topup_minimum_amount, rises.usual_amount)
                then 'rise'
            -- Usage that the vendor has not stated, or not yet.
            when neighbours.evidence_level = 'usage' and neighbours.residual_amount < 0 then 'missing_entry'
            when neighbours.evidence_level = 'usage' then 'unknown'
            -- The ledger has not been read since.
            when
                neighbours.polled_at_utc is null
                and evidence.through_date < cast(neighbours.closed_at_utc at time zone 'UTC' as date)
                then 'unknown'
            when neighbours.settled_count is null or usual.account_id is not null then 'missing_entry'
            when abs(neighbours.residual_amount) < neighbours.largest_amount or neighbours.has_opposite
                then 'amount_mismatch'
            else 'missing_entry'
        end as looks_like
    from neighbours
    inner join core.accounts as accounts on neighbours.account_id = accounts.account_id
    left join staging.evidence as evidence on neighbours.account_id = evidence.account_id
    left join twins on neighbours.account_id = twins.account_id and neighbours.closed_at_utc = twins.closed_at_utc
    left join usual on neighbours.account_id = usual.account_id and neighbours.closed_at_utc = usual.closed_at_utc
    left join rises on neighbours.account_id = rises.account_id and neighbours.closed_at_utc = rises.closed_at_utc
)

select
    -- ids
    account_id,
    opened_at_utc,
    closed_at_utc,

    -- from one balance to the next
    opening_amount,
    cast(documented_top_up_amount + case when looks_like = 'rise' then residual_amount else 0 end as decimal(38, 9))
        as top_up_amount,
    cast(documented_refund_amount + case when looks_like = 'refund' then residual_amount else 0 end as decimal(38, 9))
        as refund_amount,
    cast(documented_usage_amount + case when looks_like = 'fall' then residual_amount else 0 end as decimal(38, 9))
        as usage_amount,
    cast(renewal_amount as decimal(38, 9)) as renewal_amount,
    cast(adjustment_amount as decimal(38, 9)) as adjustment_amount,
    cast(pending_amount as decimal(38, 9)) as pending_amount,
    cast(tax_amount as decimal(38, 9)) as tax_amount,
    cast(case when looks_like in ('rise', 'refund', 'fall') then 0 else residual_amount end as decimal(38, 9))
        as unexplained_amount,
    closing_amount,
    unit_code,

    -- how well it is known
    cast(case when looks_like = 'rise' then residual_amount else 0 end as decimal(38, 9)) as inferred_top_up_amount,
    case when looks_like not in ('nothing', 'rise', 'refund', 'fall') then looks_like end as unexplained_class,
    case when has_late then 'late_entry' when has_restated then 'restated' end as history_class,
    evidence_level,

    -- what it rests on
    entry_count,
    entry_ids,
    opening_fetch_id,
    closing_fetch_id
from judged
