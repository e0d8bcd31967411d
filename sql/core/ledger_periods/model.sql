-- The sign convention of a ledger, by the UTC months of its entries. A month is judged by the intervals that closed in
-- it, or if fewer than two of them are conclusive, by those of the two months before as well. Conventions that the
-- entry kinds contradict are excluded: if deposits are mostly stated negative, or usage is mostly stated positive,
-- amounts are not signed. Of the rest, a convention is proven if it explains strictly more intervals than every other;
-- one with tax must explain twice as many as the amounts without it, because one entry of many proves nothing about the
-- others. A month that proves nothing keeps the previous convention, so a closed month never changes by later evidence.
-- Only the months before the first proof follow it, because nothing was known about them. If nothing was ever proven,
-- amounts of both signs are taken as signed, and amounts of one sign by the entries' kinds.
with recursive

-- In order of preference among conventions that explain the same intervals.
signs as (
    select
        listed.preference,
        listed.sign_convention
    from (values (1, 'signed'), (2, 'by_kind'), (3, 'inverted')) as listed (preference, sign_convention)
),

candidates as (
    select
        preference,
        sign_convention,
        'stated' as amount_basis,
        sign_convention || ' ' as word
    from signs
    union all
    select
        preference + 3 as preference,
        sign_convention,
        'with_tax' as amount_basis,
        sign_convention || '_with_tax ' as word
    from signs
),

spans as (
    select 1 as month_count
    union all
    select 3 as month_count
),

stated as (
    select
        account_id,
        cast(date_trunc('month', core.utc_date(effective_at_utc)) as date) as entry_month,
        count(case when entry_kind = 'top_up' and stated_amount > 0 then 1 end) as credit_up_count,
        count(case when entry_kind = 'top_up' and stated_amount < 0 then 1 end) as credit_down_count,
        count(case when entry_kind in ('usage', 'renewal', 'tax') and stated_amount > 0 then 1 end) as debit_up_count,
        count(case when entry_kind in ('usage', 'renewal', 'tax') and stated_amount < 0 then 1 end) as debit_down_count,
        count(case when stated_amount > 0 then 1 end) as up_count,
        count(case when stated_amount < 0 then 1 end) as down_count,
        min(first_observed_at_utc) as first_observed_at_utc
    from staging.ledger_entries
    where entry_status in ('settled', 'unknown')
    group by account_id, cast(date_trunc('month', core.utc_date(effective_at_utc)) as date)
),

-- Settled entries, or if there are none yet, all entries: each account with a ledger has a period.
assumed as (
    select
        booked.account_id,
        case
            when coalesce(sum(stated.up_count), 0) = 0 or coalesce(sum(stated.down_count), 0) = 0 then 'by_kind'
            when
                sum(stated.credit_up_count) > sum(stated.credit_down_count)
                and sum(stated.debit_up_count) > sum(stated.debit_down_count)
                then 'by_kind'
            when
                sum(stated.credit_down_count) > sum(stated.credit_up_count)
                and sum(stated.debit_down_count) > sum(stated.debit_up_count)
                then 'by_kind'
            when
                sum(stated.credit_down_count) > sum(stated.credit_up_count)
                or sum(stated.debit_up_count) > sum(stated.debit_down_count)
                then 'inverted'
            else 'signed'
        end as assumed_convention
    from (select distinct account_id from staging.ledger_entries) as booked
    left join stated on booked.account_id = stated.account_id
    group by booked.account_id
),

months as (
    select
        account_id,
        entry_month as known_month
    from stated
    union distinct
    select
        account_id,
        evidence_month as known_month
    from core.ledger_evidence
),

-- The prevailing sign of each kind: in the month, in the two months before as well, or if these have few entries, in
-- all months until then.
stated_directions as (
    select
        months.account_id,
        months.known_month,
        coalesce(
            sum(
                case
                    when months.known_month = stated.entry_month
                        then stated.debit_up_count - stated.debit_down_count
                end
            ), 0
        ) as own_debit_lead,
        coalesce(
            sum(
                case
                    when months.known_month - interval 2 month <= stated.entry_month
                        then stated.debit_up_count - stated.debit_down_count
                end
            ), 0
        ) as debit_lead,
        coalesce(sum(stated.debit_up_count - stated.debit_down_count), 0) as long_debit_lead,
        coalesce(
            sum(
                case
                    when months.known_month - interval 2 month <= stated.entry_month
                        then stated.credit_up_count - stated.credit_down_count
                end
            ), 0
        ) as credit_lead,
        coalesce(sum(stated.credit_up_count - stated.credit_down_count), 0) as long_credit_lead
    from months
    left join stated on months.account_id = stated.account_id and months.known_month >= stated.entry_month
    group by months.account_id, months.known_month
),

kinds as (
    select
        account_id,
        known_month,
        sign(
            case
                when abs(own_debit_lead) >= 3 then own_debit_lead
                when abs(debit_lead) >= 3 then debit_lead
                else long_debit_lead
            end
        ) as debit_sign,
        sign(case when abs(credit_lead) >= 3 then credit_lead else long_credit_lead end) as credit_sign
    from stated_directions
),

allowed as (
    select
        kinds.account_id,
        kinds.known_month,
        candidates.preference,
        candidates.sign_convention,
        candidates.amount_basis,
        candidates.word
    from kinds
    cross join candidates
    where
        candidates.sign_convention = 'by_kind'
        or (candidates.sign_convention = 'signed' and kinds.credit_sign >= 0 and kinds.debit_sign <= 0)
        or (candidates.sign_convention = 'inverted' and kinds.credit_sign <= 0 and kinds.debit_sign >= 0)
),

-- The intervals of one month, and of three, that a convention explains.
evidence as (
    select
        months.account_id,
        months.known_month,
        spans.month_count,
        ' ' || evidence.reconciled_by as reconciled_by,
        sum(evidence.interval_count) as interval_count
    from months
    cross join spans
    inner join core.ledger_evidence as evidence
        on
            months.account_id = evidence.account_id
            and months.known_month >= evidence.evidence_month
            and (
                months.known_month = evidence.evidence_month
                or (spans.month_count = 3 and months.known_month - interval 2 month <= evidence.evidence_month)
            )
    where evidence.reconciled_by <> ''
    group by months.account_id, months.known_month, spans.month_count, evidence.reconciled_by
),

counted as (
    select
        allowed.account_id,
        allowed.known_month,
        evidence.month_count,
        allowed.preference,
        allowed.sign_convention,
        allowed.amount_basis,
        allowed.word,
        sum(evidence.interval_count) as reconciled_count
    from allowed
    inner join evidence
        on
            allowed.account_id = evidence.account_id
            and allowed.known_month = evidence.known_month
            and evidence.reconciled_by like '% ' || allowed.word || '%'
    group by
        allowed.account_id,
        allowed.known_month,
        evidence.month_count,
        allowed.preference,
        allowed.sign_convention,
        allowed.amount_basis,
        allowed.word
),

with_best_count as (
    select
        counted.*,
        max(counted.reconciled_count) over (partition by counted.account_id, counted.known_month, counted.month_count)
            as best_count
    from counted
    left join counted as untaxed
        on
            counted.account_id = untaxed.account_id
            and counted.known_month = untaxed.known_month
            and counted.month_count = untaxed.month_count
            and counted.sign_convention = untaxed.sign_convention
            and untaxed.amount_basis = 'stated'
    where
        counted.amount_basis = 'stated'
        or counted.reconciled_count >= 2 * coalesce(untaxed.reconciled_count, 0)
),

best as (
    select
        account_id,
        known_month,
        month_count,
        preference,
        word,
        reconciled_count
    from with_best_count
    where reconciled_count = best_count
),

-- A tie proves nothing, unless both conventions explain the same intervals.
shared as (
    select
        best.account_id,
        best.known_month,
        best.month_count,
        evidence.reconciled_by,
        count(*) as word_count
    from best
    inner join evidence
        on
            best.account_id = evidence.account_id
            and best.known_month = evidence.known_month
            and best.month_count = evidence.month_count
            and evidence.reconciled_by like '% ' || best.word || '%'
    group by best.account_id, best.known_month, best.month_count, evidence.reconciled_by
),

proven as (
    select
        best.account_id,
        best.known_month,
        best.month_count,
        min(best.preference) as preference,
        ' ' || string_agg(best.word, '' order by best.preference) as words
    from best
    inner join (
        select
            account_id,
            known_month,
            month_count,
            min(word_count) as least_count
        from shared
        group by account_id, known_month, month_count
    ) as least
        on
            best.account_id = least.account_id
            and best.known_month = least.known_month
            and best.month_count = least.month_count
    -- A single interval of a month may be chance.
    where best.month_count = 3 or best.reconciled_count >= 2
    group by best.account_id, best.known_month, best.month_count, least.least_count
    having count(*) = least.least_count
),

numbered as (
    select
        months.account_id,
        months.known_month,
        row_number() over (partition by months.account_id order by months.known_month) as place,
        coalesce(own.preference, proven.preference) as proven_preference,
        coalesce(own.words, proven.words) as proven_words
    from months
    left join proven as own
        on months.account_id = own.account_id and months.known_month = own.known_month and own.month_count = 1
    left join proven
        on months.account_id = proven.account_id and months.known_month = proven.known_month and proven.month_count = 3
),

-- The convention that a month proves, or else the previous one, which also continues if it explains as much as any.
walked as (
    select
        account_id,
        known_month,
        place,
        proven_preference as preference
    from numbered
    where place = 1
    union all
    select
        numbered.account_id,
        numbered.known_month,
        numbered.place,
        case
            when numbered.proven_preference is null then walked.preference
            when numbered.proven_words like '% ' || held.word || '%' then walked.preference
            else numbered.proven_preference
        end as preference
    from walked
    inner join numbered on walked.account_id = numbered.account_id and walked.place + 1 = numbered.place
    left join candidates as held on walked.preference = held.preference
),

first_proofs as (
    select
        account_id,
        min(known_month) as proven_month,
        min(place) as place
    from walked
    where preference is not null
    group by account_id
),

-- The months before the first proof follow it; and no month has a convention that its own entry kinds contradict.
settled as (
    select
        walked.account_id,
        walked.known_month,
        case
            when candidates.preference is null then assumed.assumed_convention
            when allowed.preference is null then 'by_kind'
            else candidates.sign_convention
        end as sign_convention,
        coalesce(candidates.amount_basis, 'stated') as amount_basis
    from walked
    inner join assumed on walked.account_id = assumed.account_id
    left join first_proofs on walked.account_id = first_proofs.account_id
    left join walked as proof on first_proofs.account_id = proof.account_id and first_proofs.place = proof.place
    left join candidates on coalesce(walked.preference, proof.preference) = candidates.preference
    left join allowed
        on
            walked.account_id = allowed.account_id
            and walked.known_month = allowed.known_month
            and candidates.preference = allowed.preference
),

turns as (
    select
        *,
        lag(sign_convention || amount_basis) over (partition by account_id order by known_month) as words_before
    from settled
),

periods as (
    select
        account_id,
        case when words_before is null then cast('1970-01-01' as date) else known_month end as from_date,
        sign_convention,
        amount_basis
    from turns
    where words_before is null or words_before <> sign_convention || amount_basis
    union all
    select
        assumed.account_id,
        cast('1970-01-01' as date) as from_date,
        assumed.assumed_convention as sign_convention,
        'stated' as amount_basis
    from assumed
    left join (select distinct account_id from months) as known on assumed.account_id = known.account_id
    where known.account_id is null
)

select
    -- ids
    periods.account_id,
    periods.from_date,
    cast(
        lead(periods.from_date) over (partition by periods.account_id order by periods.from_date) - interval 1 day
        as date
    ) as to_date,

    -- convention
    periods.sign_convention,
    periods.amount_basis,

    -- assumption before the first proof, and the month of the proof
    assumed.assumed_convention,
    first_proofs.proven_month
from periods
inner join assumed on periods.account_id = assumed.account_id
left join first_proofs on periods.account_id = first_proofs.account_id
