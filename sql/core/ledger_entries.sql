-- Under by_kind an entry whose kind does not tell its direction keeps the sign that it was stated with.
select
    -- ids
    entries.account_id,
    entries.entry_id,
    entries.effective_at_utc,

    -- amounts
    case
        when accounts.sign_convention = 'inverted' then -entries.stated_amount
        when accounts.sign_convention = 'signed' then entries.stated_amount
        when entries.entry_kind in ('top_up', 'refund') then abs(entries.stated_amount)
        when entries.entry_kind in ('usage', 'renewal', 'tax') then -abs(entries.stated_amount)
        else entries.stated_amount
    end as entry_amount,
    coalesce(entries.unit_code, accounts.unit_code) as unit_code,
    entries.entry_kind,
    entries.entry_status,
    entries.net_amount,
    entries.gross_amount,

    -- the vendor's words
    entries.vendor_entry_type,
    entries.description,

    -- where it came from
    entries.observed_at_utc,
    entries.fetch_id
from staging.ledger_entries as entries
inner join core.accounts as accounts on entries.account_id = accounts.account_id
