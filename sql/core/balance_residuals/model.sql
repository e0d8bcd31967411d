-- The residual of an interval's documents: inferred money if only balances or usage are known, or else its likely
-- cause.
with

dirty_months as (
    select
        min(dirty_month) as first_date,
        cast(max(dirty_month) + interval 1 month as date) as next_first_date
    from staging.dirty_months
    where table_name = 'core.balance_residuals'
),

dirty_span as (
    select
        cast(first_date as timestamp) at time zone 'UTC' as from_utc,
        cast(next_first_date as timestamp) at time zone 'UTC' as before_utc
    from dirty_months
),

-- -- residuals with their neighbours -------------------------------------------------------------------------------

-- Neighbours are searched within 92 days.
nearby as (
    select
        intervals.account_id,
        intervals.closed_at_utc,
        intervals.residual_amount,
        intervals.evidence_level,
        intervals.unit_code,
        intervals.usage_amount,
        intervals.balance_decimal_count,
        intervals.document_decimal_count,
        cast(intervals.closing_amount - intervals.opening_amount - intervals.quota_reset_amount as double)
        / nullif(cast(intervals.stated_usage_amount as double), 0) as price
    from core.balance_intervals as intervals
    cross join dirty_span
    where
        intervals.closed_at_utc >= dirty_span.from_utc - interval 92 day
        and intervals.closed_at_utc < dirty_span.before_utc + interval 92 day
),

residuals as materialized (
    select intervals.*
    from core.balance_intervals as intervals
    cross join dirty_span
    where
        intervals.closed_at_utc >= dirty_span.from_utc - interval 92 day
        and intervals.closed_at_utc < dirty_span.before_utc + interval 92 day
        and intervals.residual_amount <> 0
),

-- Only documents can be in a neighbouring interval, or rounded otherwise.
documented as (
    select
        nearby.*,
        -- An amount in whole euros does not prove that cents are never stated: neighbours may state them, and for a
        -- currency cents always count.
        greatest(nearby.balance_decimal_count, nearby.least_count) as balance_count,
        greatest(nearby.document_decimal_count, nearby.least_count) as document_count
    from (
        select
            *,
            case when unit_code like '%-%' then 0 else 2 end as least_count
        from nearby
    ) as nearby
    where
        nearby.account_id in (
            select residuals.account_id
            from residuals
            where residuals.evidence_level <> 'balance'
        )
),

-- Nearly always an account's amounts have the same number of decimals, which costs less than a search around each.
counted as (
    select
        account_id,
        unit_code,
        max(balance_count) as balance_count,
        max(document_count) as document_count,
        min(balance_count) = max(balance_count) and min(document_count) = max(document_count) as is_constant
    from documented
    group by account_id, unit_code
),

varied as (
    select
        documented.account_id,
        documented.closed_at_utc,
        max(documented.balance_count) over around as balance_count,
        max(documented.document_count) over around as document_count
    from documented
    inner join counted on documented.account_id = counted.account_id and documented.unit_code = counted.unit_code
    where not counted.is_constant
    window around as (
        partition by documented.account_id, documented.unit_code order by documented.closed_at_utc
        range between interval 92 day preceding and interval 92 day following
    )
),

surrounded as (
    select
        account_id,
        closed_at_utc,
        unit_code,
        price,
        lag(closed_at_utc) over following as closed_before_utc,
        lag(residual_amount) over following as residual_before_amount,
        lag(price) over following as price_before,
        lead(closed_at_utc) over following as closed_after_utc,
        lead(residual_amount) over following as residual_after_amount,
        lead(price) over following as price_after
    from documented
    window following as (partition by account_id, unit_code order by closed_at_utc)
),

neighbours as (
    select
        surrounded.account_id,
        surrounded.closed_at_utc,
        surrounded.price,
        -- Anything further away is no neighbour: it may lie outside the rows that are read here.
        case
            when surrounded.closed_before_utc >= surrounded.closed_at_utc - interval 92 day
                then surrounded.closed_before_utc
        end as closed_before_utc,
        case
            when surrounded.closed_before_utc >= surrounded.closed_at_utc - interval 92 day
                then surrounded.residual_before_amount
        end as residual_before_amount,
        case
            when surrounded.closed_before_utc >= surrounded.closed_at_utc - interval 92 day
                then surrounded.price_before
        end as price_before,
        case
            when surrounded.closed_after_utc <= surrounded.closed_at_utc + interval 92 day
                then surrounded.closed_after_utc
        end as closed_after_utc,
        case
            when surrounded.closed_after_utc <= surrounded.closed_at_utc + interval 92 day
                then surrounded.residual_after_amount
        end as residual_after_amount,
        case
            when surrounded.closed_after_utc <= surrounded.closed_at_utc + interval 92 day
                then surrounded.price_after
        end as price_after,
        coalesce(varied.balance_count, counted.balance_count) as balance_decimal_count,
        coalesce(varied.document_count, counted.document_count) as document_decimal_count
    from surrounded
    inner join counted on surrounded.account_id = counted.account_id and surrounded.unit_code = counted.unit_code
    left join varied
        on surrounded.account_id = varied.account_id and surrounded.closed_at_utc = varied.closed_at_utc
),

-- The entries of intervals with a residual, with all their statements.
residual_entry_ids as (
    select
        account_id,
        closed_at_utc,
        residual_amount,
        unnest(string_split(entry_ids, ' ')) as entry_id
    from residuals
    where evidence_level <> 'balance'
),

residual_entries as materialized (
    select
        residual_entry_ids.account_id,
        residual_entry_ids.closed_at_utc,
        residual_entry_ids.residual_amount,
        residual_entry_ids.entry_id,
        entries.effective_at_utc,
        entries.entry_amount,
        entries.first_entry_amount,
        entries.entry_kind,
        entries.description,
        sign(entries.entry_amount) * abs(entries.gross_amount) as taxed_amount
    from residual_entry_ids
    inner join core.ledger_entries as entries
        on residual_entry_ids.account_id = entries.account_id and residual_entry_ids.entry_id = entries.entry_id
    where entries.entry_status <> 'pending'
),

-- The amount that each entry of an interval with a residual would explain alone. The tax rate is the owner's if the
-- vendor states no tax.
explanations as materialized (
    select
        residual_entries.account_id,
        residual_entries.closed_at_utc,
        bool_or(
            residual_entries.first_entry_amount - residual_entries.entry_amount = residual_entries.residual_amount
        ) as is_restated,
        coalesce(
            bool_or(residual_entries.taxed_amount - residual_entries.entry_amount = residual_entries.residual_amount),
            false
        )
        or sum(coalesce(residual_entries.taxed_amount, residual_entries.entry_amount) - residual_entries.entry_amount)
        = min(residual_entries.residual_amount)
        or coalesce(
            bool_or(
                round(
                    cast(residual_entries.entry_amount as decimal(25, 9))
                    * try_cast(accounts.tax_rate as decimal(9, 6)),
                    2
                )
                = residual_entries.residual_amount
            ),
            false
        ) as is_tax,
        bool_or(residual_entries.entry_amount = -residual_entries.residual_amount) as has_counterpart,
        max(abs(residual_entries.entry_amount)) as largest_amount,
        bool_or(sign(residual_entries.entry_amount) <> sign(residual_entries.residual_amount)) as has_opposite
    from residual_entries
    inner join core.accounts as accounts on residual_entries.account_id = accounts.account_id
    group by residual_entries.account_id, residual_entries.closed_at_utc
),

-- Every entry of the size of a residual within 92 days of its interval.
equal_entries as materialized (
    select
        residuals.account_id,
        residuals.closed_at_utc,
        residuals.residual_amount,
        entries.entry_id,
        entries.effective_at_utc,
        entries.entry_amount,
        entries.entry_kind,
        entries.description
    from residuals
    inner join core.ledger_entries as entries
        on
            residuals.account_id = entries.account_id
            and residuals.unit_code = entries.unit_code
            and abs(residuals.residual_amount) = abs(entries.entry_amount)
    where
        entries.entry_status <> 'void'
        and entries.effective_at_utc between residuals.opened_at_utc - interval 92 day
        and residuals.closed_at_utc + interval 92 day
),

-- An entry that is booked again within a day under another id, without a movement of the balance.
repeated_entries as (
    select distinct
        residual_entries.account_id,
        residual_entries.closed_at_utc
    from residual_entries
    inner join equal_entries
        on
            residual_entries.account_id = equal_entries.account_id
            and residual_entries.closed_at_utc = equal_entries.closed_at_utc
            and residual_entries.entry_id <> equal_entries.entry_id
            and residual_entries.entry_amount = equal_entries.entry_amount
            and residual_entries.entry_kind = equal_entries.entry_kind
            and residual_entries.description is not distinct from equal_entries.description
            and equal_entries.effective_at_utc between residual_entries.effective_at_utc - interval 1 day
            and residual_entries.effective_at_utc + interval 1 day
    where residual_entries.residual_amount = -residual_entries.entry_amount
),

-- Usual amounts of an account: a missing entry has the size of a known one.
usual_amounts as (
    select distinct
        account_id,
        closed_at_utc
    from equal_entries
    where residual_amount = entry_amount
),

-- Mean daily spend in the 28 days before a rise that no ledger explains.
falls as (
    select
        account_id,
        unit_code,
        core.utc_date(closed_at_utc) as fall_date,
        sum(usage_amount)
        + sum(case when evidence_level = 'balance' and residual_amount < 0 then residual_amount else 0 end)
            as fall_amount
    from nearby
    where evidence_level <> 'ledger'
    group by account_id, unit_code, core.utc_date(closed_at_utc)
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
            and residuals.unit_code = falls.unit_code
            and falls.fall_date < core.utc_date(residuals.closed_at_utc)
            and falls.fall_date >= core.utc_date(residuals.closed_at_utc) - 28
    where residuals.residual_amount > 0 and residuals.evidence_level <> 'ledger'
    group by residuals.account_id, residuals.closed_at_utc
),

-- An amount booked in one interval that moved the balance in the next leaves two residuals that cancel out.
compared as (
    select
        residuals.*,
        explanations.is_restated,
        explanations.is_tax,
        explanations.largest_amount,
        explanations.has_opposite,
        (
            neighbours.residual_before_amount = -residuals.residual_amount
            and (residuals.evidence_level = 'usage' or explanations.has_counterpart or before.has_counterpart)
        )
        or (
            neighbours.residual_after_amount = -residuals.residual_amount
            and (residuals.evidence_level = 'usage' or explanations.has_counterpart or after.has_counterpart)
        ) as is_boundary,
        -- Both balances and each document are rounded by at most half of their last digit.
        case
            when residuals.document_decimal_count > neighbours.balance_decimal_count
                then
                    abs(residuals.residual_amount)
                    < cast(power(10, -neighbours.balance_decimal_count) as decimal(38, 9))
            when residuals.balance_decimal_count > neighbours.document_decimal_count
                then
                    (residuals.entry_count > 0 or residuals.stated_usage_amount <> 0)
                    and abs(residuals.residual_amount)
                    <= cast(0.5 * power(10, -neighbours.document_decimal_count) as decimal(38, 9))
                    * case
                        when residuals.evidence_level = 'usage'
                            then
                                1 + core.utc_date(residuals.closed_at_utc)
                                - core.utc_date(residuals.opened_at_utc)
                        else residuals.entry_count
                    end
                    -- The missing part of a document has no more digits than documents have.
                    and 9 - length(cast(residuals.residual_amount as varchar))
                    + length(rtrim(cast(residuals.residual_amount as varchar), '0')) > neighbours.document_decimal_count
            else false
        end as is_rounding,
        abs(neighbours.price + 1) > 1e-6
        and (
            abs(neighbours.price / nullif(neighbours.price_before, 0) - 1) < 1e-9
            or abs(neighbours.price / nullif(neighbours.price_after, 0) - 1) < 1e-9
        ) as is_priced
    from residuals
    left join neighbours
        on residuals.account_id = neighbours.account_id and residuals.closed_at_utc = neighbours.closed_at_utc
    left join explanations
        on residuals.account_id = explanations.account_id and residuals.closed_at_utc = explanations.closed_at_utc
    left join explanations as before
        on residuals.account_id = before.account_id and neighbours.closed_before_utc = before.closed_at_utc
    left join explanations as after
        on residuals.account_id = after.account_id and neighbours.closed_after_utc = after.closed_at_utc
),

-- -- classes -------------------------------------------------------------------------------------------------------

classified as (
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
            when repeated_entries.account_id is not null then 'duplicate_entry'
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
                and evidence.through_date < core.utc_date(compared.closed_at_utc)
                then 'unknown'
            when compared.largest_amount is null or usual_amounts.account_id is not null then 'missing_entry'
            when abs(compared.residual_amount) < compared.largest_amount or compared.has_opposite
                then 'amount_mismatch'
            else 'missing_entry'
        end as residual_class
    from compared
    inner join core.accounts as owners on compared.account_id = owners.account_id
    -- The owner's minimum top-up is in the current unit of the account.
    left join core.accounts as smallest
        on compared.account_id = smallest.account_id and compared.unit_code = smallest.unit_code
    left join staging.evidence as evidence on compared.account_id = evidence.account_id
    left join repeated_entries
        on compared.account_id = repeated_entries.account_id and compared.closed_at_utc = repeated_entries.closed_at_utc
    left join usual_amounts
        on compared.account_id = usual_amounts.account_id and compared.closed_at_utc = usual_amounts.closed_at_utc
    left join rises on compared.account_id = rises.account_id and compared.closed_at_utc = rises.closed_at_utc
)

select
    account_id,
    closed_at_utc,
    residual_class
from classified
