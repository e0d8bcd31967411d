-- An account has its entries from one listing, so that nothing is counted twice. If this key cannot read the vendor's
-- ledger, paid orders replace it: deposits with VAT, and the amounts that other orders took from the balance, without
-- refunds. If nothing itemises spend, settled payments are the documented top-ups.
--
-- An entry without a unit has the unit of the balance when the entry took effect, or if its amount has been restated,
-- when it was last stated. A later change of the account's unit changes no entry.
--
-- Under by_kind an entry whose kind does not determine its direction keeps its stated sign.
with

stated as (
    select
        *,
        case when stated_amount = first_stated_amount then effective_at_utc else observed_at_utc end as stated_at_utc
    from staging.ledger_entries
),

moved as (
    select
        stated.*,
        units.unit_code as held_unit_code,
        periods.sign_convention,
        case
            when periods.amount_basis = 'with_tax' then coalesce(abs(stated.gross_amount), abs(stated.stated_amount))
            else abs(stated.stated_amount)
        end as size_amount
    from stated
    inner join core.ledger_periods as periods
        on
            stated.account_id = periods.account_id
            and core.utc_date(stated.effective_at_utc) >= periods.from_date
            and (
                periods.to_date is null
                or core.utc_date(stated.effective_at_utc) <= periods.to_date
            )
    inner join core.account_units as units
        on
            stated.account_id = units.account_id
            and stated.stated_at_utc >= units.from_at_utc
            and (units.to_at_utc is null or stated.stated_at_utc < units.to_at_utc)
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
    coalesce(unit_code, held_unit_code) as unit_code,
    entry_kind,
    entry_status,
    net_amount,
    gross_amount,
    'ledger' as entry_source,

    -- the vendor's texts
    vendor_entry_type,
    description,

    -- source
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
union all
select
    -- ids
    orders.account_id,
    'order-' || orders.order_id as entry_id,
    coalesce(orders.paid_at_utc, orders.ordered_at_utc) as effective_at_utc,

    -- amounts
    case
        when orders.order_kind = 'top_up' then orders.gross_amount
        else -orders.from_balance_amount
    end as entry_amount,
    orders.unit_code,
    case when orders.order_kind in ('top_up', 'renewal') then orders.order_kind else 'usage' end as entry_kind,
    orders.order_status as entry_status,
    orders.net_amount,
    orders.gross_amount,
    'orders' as entry_source,

    -- the vendor's texts
    orders.vendor_order_type as vendor_entry_type,
    cast(null as varchar) as description,

    -- source
    orders.first_observed_at_utc,
    case
        when orders.order_kind = 'top_up' then orders.gross_amount
        else -orders.from_balance_amount
    end as first_entry_amount,
    orders.observed_at_utc,
    orders.fetch_id
from core.orders as orders
inner join staging.evidence as evidence on orders.account_id = evidence.account_id and evidence.is_fallback
-- A payment by card moved no balance.
where
    orders.order_status = 'settled'
    and (orders.order_kind = 'top_up' or orders.from_balance_amount <> 0)
union all
select
    -- ids
    payments.account_id,
    payments.payment_id as entry_id,
    coalesce(payments.paid_at_utc, payments.ordered_at_utc) as effective_at_utc,

    -- amounts
    payments.payment_amount as entry_amount,
    payments.unit_code,
    'top_up' as entry_kind,
    payments.payment_status as entry_status,
    payments.payment_amount as net_amount,
    payments.payment_amount + payments.payment_tax_amount as gross_amount,
    'payments' as entry_source,

    -- the vendor's texts
    payments.payment_kind as vendor_entry_type,
    payments.description,

    -- source
    payments.first_observed_at_utc,
    payments.payment_amount as first_entry_amount,
    payments.observed_at_utc,
    payments.fetch_id
from core.payments as payments
inner join core.accounts as accounts on payments.account_id = accounts.account_id
where payments.payment_status = 'settled' and accounts.evidence_level <> 'ledger'
