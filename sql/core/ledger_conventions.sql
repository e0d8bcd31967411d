-- Nobody documents how the amounts of a ledger are signed. Three conventions are tried on every interval between two
-- balances that holds settled entries; the one that explains the most intervals to the last digit is taken. Until an
-- interval proves one, amounts of both signs are taken as signed, and amounts of one sign by the entries' kinds.
with

entries as (
    select
        account_id,
        effective_at_utc,
        entry_kind,
        stated_amount,
        case
            when entry_kind in ('top_up', 'refund') then abs(stated_amount)
            when entry_kind in ('usage', 'renewal', 'tax') then -abs(stated_amount)
        end as by_kind_amount
    from staging.ledger_entries
    where entry_status in ('settled', 'unknown')
),

intervals as (
    select
        account_id,
        lag(observed_at_utc) over (partition by account_id order by observed_at_utc, fetch_id) as opened_at_utc,
        observed_at_utc as closed_at_utc,
        balance_amount
        - lag(balance_amount) over (partition by account_id order by observed_at_utc, fetch_id) as change_amount
    from staging.balances
),

tested as (
    select
        intervals.account_id,
        intervals.change_amount,
        sum(entries.stated_amount) as signed_amount,
        sum(entries.by_kind_amount) as by_kind_amount,
        count(*) - count(entries.by_kind_amount) as unsigned_count
    from intervals
    inner join entries
        on
            intervals.account_id = entries.account_id
            and intervals.opened_at_utc < entries.effective_at_utc
            and intervals.closed_at_utc >= entries.effective_at_utc
    where intervals.change_amount <> 0
    group by intervals.account_id, intervals.opened_at_utc, intervals.closed_at_utc, intervals.change_amount
),

reconciled as (
    select
        account_id,
        count(*) as tested_interval_count,
        count(case when signed_amount = change_amount then 1 end) as signed_count,
        count(case when -signed_amount = change_amount then 1 end) as inverted_count,
        count(case when unsigned_count = 0 and by_kind_amount = change_amount then 1 end) as by_kind_count
    from tested
    group by account_id
),

stated as (
    select
        account_id,
        count(*) as entry_count,
        min(stated_amount) as lowest_amount,
        max(stated_amount) as highest_amount,
        count(case when entry_kind = 'top_up' and stated_amount < 0 then 1 end)
        + count(case when entry_kind in ('usage', 'renewal', 'tax') and stated_amount > 0 then 1 end)
            as against_count,
        count(case when entry_kind = 'top_up' and stated_amount > 0 then 1 end)
        + count(case when entry_kind in ('usage', 'renewal', 'tax') and stated_amount < 0 then 1 end)
            as with_count
    from staging.ledger_entries
    group by account_id
),

judged as (
    select
        stated.account_id,
        stated.entry_count,
        coalesce(reconciled.tested_interval_count, 0) as tested_interval_count,
        coalesce(reconciled.signed_count, 0) as signed_count,
        coalesce(reconciled.inverted_count, 0) as inverted_count,
        coalesce(reconciled.by_kind_count, 0) as by_kind_count,
        stated.lowest_amount < 0 and stated.highest_amount > 0 as has_both_signs,
        stated.against_count > stated.with_count as is_against
    from stated
    left join reconciled on stated.account_id = reconciled.account_id
),

chosen as (
    select
        *,
        case
            when greatest(signed_count, inverted_count, by_kind_count) > 0
                then
                    case
                        when signed_count >= greatest(inverted_count, by_kind_count) then 'signed'
                        when by_kind_count >= inverted_count then 'by_kind'
                        else 'inverted'
                    end
            when has_both_signs and is_against then 'inverted'
            when has_both_signs then 'signed'
            else 'by_kind'
        end as sign_convention
    from judged
)

select
    account_id,
    sign_convention,
    case
        when greatest(signed_count, inverted_count, by_kind_count) > 0 then 'reconciled'
        when has_both_signs then 'mixed_signs'
        else 'assumed'
    end as proof,
    entry_count,
    tested_interval_count,
    case sign_convention
        when 'signed' then signed_count
        when 'inverted' then inverted_count
        else by_kind_count
    end as reconciled_interval_count
from chosen
