-- The current sign convention of a ledger, and its proof: the intervals that closed in the months to which it applies.
-- Vendors do not document it; core.ledger_periods determines it, and has the earlier ones.
with

stated as (
    select
        account_id,
        count(*) as entry_count,
        min(stated_amount) < 0 and max(stated_amount) > 0 as has_both_signs
    from staging.ledger_entries
    group by account_id
),

tested as (
    select
        periods.account_id,
        cast(sum(evidence.interval_count) as bigint) as tested_interval_count,
        cast(
            coalesce(
                sum(
                    case
                        when
                            ' ' || evidence.reconciled_by like '% ' || periods.sign_convention
                            || case when periods.amount_basis = 'with_tax' then '_with_tax' else '' end
                            || ' %'
                            then evidence.interval_count
                    end
                ),
                0
            )
            as bigint
        ) as reconciled_interval_count
    from core.ledger_periods as periods
    inner join core.ledger_evidence as evidence
        on periods.account_id = evidence.account_id and periods.from_date <= evidence.evidence_month
    where periods.to_date is null
    group by periods.account_id
)

select
    stated.account_id,
    periods.sign_convention,
    periods.amount_basis,
    case
        when tested.reconciled_interval_count > 0 and periods.proven_month is not null then 'reconciled'
        when stated.has_both_signs then 'mixed_signs'
        else 'assumed'
    end as proof,
    stated.entry_count,
    coalesce(tested.tested_interval_count, 0) as tested_interval_count,
    coalesce(tested.reconciled_interval_count, 0) as reconciled_interval_count
from stated
inner join core.ledger_periods as periods on stated.account_id = periods.account_id and periods.to_date is null
left join tested on stated.account_id = tested.account_id
