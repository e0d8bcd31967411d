-- Nobody documents how the amounts of a ledger are signed, nor whether tax is in what they move. Three signs, each
-- with the amounts as stated and with those that include tax, are tried on the intervals between two balances that
-- hold settled entries, in the newest 92 days of the ledger; what explains the most intervals to the last digit is
-- taken; tax must explain twice as many as the amounts without it, for one entry of many proves nothing of the others.
-- Until an interval proves one, amounts of both signs are taken as signed, and amounts of one sign by the
-- entries' kinds. It is tried anew at each load, so a vendor that changes its ways is followed.
with

newest as (
    select
        account_id,
        max(effective_at_utc) - interval 92 day as since_utc
    from staging.ledger_entries
    group by account_id
),

entries as (
    select
        stated.account_id,
        stated.effective_at_utc,
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
    inner join newest on stated.account_id = newest.account_id and stated.effective_at_utc >= newest.since_utc
    where stated.entry_status in ('settled', 'unknown')
),

intervals as (
    select
        balances.account_id,
        lag(balances.observed_at_utc) over following as opened_at_utc,
        balances.observed_at_utc as closed_at_utc,
        balances.balance_amount - lag(balances.balance_amount) over following as change_amount
    from staging.balances as balances
    inner join newest
        on balances.account_id = newest.account_id and balances.observed_at_utc >= newest.since_utc
    window following as (partition by balances.account_id order by balances.observed_at_utc, balances.fetch_id)
),

placed as (
    select
        entries.account_id,
        intervals.closed_at_utc,
        intervals.change_amount,
        sum(entries.stated_amount) as signed_amount,
        sum(entries.taxed_amount) as signed_taxed_amount,
        sum(entries.direction * abs(entries.stated_amount)) as by_kind_amount,
        sum(entries.direction * abs(entries.taxed_amount)) as by_kind_taxed_amount,
        count(*) - count(entries.direction) as undirected_count
    from entries
    asof inner join intervals
        on entries.account_id = intervals.account_id and entries.effective_at_utc <= intervals.closed_at_utc
    where entries.effective_at_utc > intervals.opened_at_utc and intervals.change_amount <> 0
    group by entries.account_id, intervals.closed_at_utc, intervals.change_amount
),

reconciled as (
    select
        account_id,
        count(*) as tested_interval_count,
        count(case when signed_amount = change_amount then 1 end) as signed_count,
        count(case when signed_taxed_amount = change_amount then 1 end) as signed_taxed_count,
        count(case when -signed_amount = change_amount then 1 end) as inverted_count,
        count(case when -signed_taxed_amount = change_amount then 1 end) as inverted_taxed_count,
        count(case when undirected_count = 0 and by_kind_amount = change_amount then 1 end) as by_kind_count,
        count(case when undirected_count = 0 and by_kind_taxed_amount = change_amount then 1 end)
            as by_kind_taxed_count
    from placed
    group by account_id
),

-- In the order of preference among what explains equally much.
candidates as (
    select
        account_id,
        1 as preference,
        'signed' as sign_convention,
        'stated' as amount_basis,
        signed_count as reconciled_interval_count
    from reconciled
    union all
    select
        account_id,
        2 as preference,
        'by_kind' as sign_convention,
        'stated' as amount_basis,
        by_kind_count as reconciled_interval_count
    from reconciled
    union all
    select
        account_id,
        3 as preference,
        'inverted' as sign_convention,
        'stated' as amount_basis,
        inverted_count as reconciled_interval_count
    from reconciled
    union all
    select
        account_id,
        4 as preference,
        'signed' as sign_convention,
        'with_tax' as amount_basis,
        signed_taxed_count as reconciled_interval_count
    from reconciled
    where signed_taxed_count >= 2 * signed_count
    union all
    select
        account_id,
        5 as preference,
        'by_kind' as sign_convention,
        'with_tax' as amount_basis,
        by_kind_taxed_count as reconciled_interval_count
    from reconciled
    where by_kind_taxed_count >= 2 * by_kind_count
    union all
    select
        account_id,
        6 as preference,
        'inverted' as sign_convention,
        'with_tax' as amount_basis,
        inverted_taxed_count as reconciled_interval_count
    from reconciled
    where inverted_taxed_count >= 2 * inverted_count
),

proven as (
    select
        *,
        row_number() over (partition by account_id order by reconciled_interval_count desc, preference asc) as place
    from candidates
    where reconciled_interval_count > 0
),

stated as (
    select
        account_id,
        count(*) as entry_count,
        min(stated_amount) < 0 and max(stated_amount) > 0 as has_both_signs,
        count(case when entry_kind = 'top_up' and stated_amount < 0 then 1 end)
        + count(case when entry_kind in ('usage', 'renewal', 'tax') and stated_amount > 0 then 1 end)
        > count(case when entry_kind = 'top_up' and stated_amount > 0 then 1 end)
        + count(case when entry_kind in ('usage', 'renewal', 'tax') and stated_amount < 0 then 1 end)
            as is_against
    from staging.ledger_entries
    group by account_id
)

select
    stated.account_id,
    case
        when proven.sign_convention is not null then proven.sign_convention
        when stated.has_both_signs and stated.is_against then 'inverted'
        when stated.has_both_signs then 'signed'
        else 'by_kind'
    end as sign_convention,
    coalesce(proven.amount_basis, 'stated') as amount_basis,
    case
        when proven.sign_convention is not null then 'reconciled'
        when stated.has_both_signs then 'mixed_signs'
        else 'assumed'
    end as proof,
    stated.entry_count,
    coalesce(reconciled.tested_interval_count, 0) as tested_interval_count,
    coalesce(proven.reconciled_interval_count, 0) as reconciled_interval_count
from stated
left join reconciled on stated.account_id = reconciled.account_id
left join proven on stated.account_id = proven.account_id and proven.place = 1
