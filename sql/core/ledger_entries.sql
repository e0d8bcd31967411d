-- Under by_kind an entry whose kind does not tell its direction keeps the sign that it was stated with.
with

moved as (
    select
        entries.*,
        accounts.unit_code as account_unit_code,
        accounts.sign_convention,
        case
            when accounts.amount_basis = 'with_tax' then coalesce(abs(entries.gross_amount), abs(entries.stated_amount))
            else abs(entries.stated_amount)
        end as size_amount
    from staging.ledger_entries as entries
    inner join core.accounts as accounts on entries.account_id = accounts.account_id
),

signed as (
    select
        *,
        case
            when sign_convention = 'by_kind' and entry_kind in ('top_up', 'refund') then size_amount
            when sign_convention = 'by_kind' and entry_kind in ('usage', 'renewal', 'tax') then -size_amount
            when (stated_amount < 0) = (sign_convention = 'inverted') then size_amount
            else -size_amount
        end as entry_amount
    from moved
)

select
    -- ids
    account_id,
    entry_id,
    effective_at_utc,

    -- amounts
    entry_amount,
    coalesce(unit_code, account_unit_code) as unit_code,
    entry_kind,
    entry_status,
    net_amount,
    gross_amount,

    -- the vendor's words
    vendor_entry_type,
    description,

    -- where it came from
    first_observed_at_utc,
    case
        when first_stated_amount = stated_amount then entry_amount
        when sign_convention = 'by_kind' and entry_amount < 0 then -abs(first_stated_amount)
        when sign_convention = 'by_kind' then abs(first_stated_amount)
        when sign_convention = 'inverted' then -first_stated_amount
        else first_stated_amount
    end as first_entry_amount,
    observed_at_utc,
    fetch_id
from signed
