select
    -- ids
    orders.account_id,
    orders.order_id,

    -- times
    orders.ordered_at_utc,
    orders.due_at_utc,
    orders.paid_at_utc,

    -- description
    orders.order_kind,
    orders.order_status,
    orders.vendor_order_type,

    -- amounts
    orders.net_amount,
    orders.gross_amount,
    orders.from_balance_amount,
    coalesce(orders.unit_code, units.unit_code) as unit_code,

    -- source
    orders.first_observed_at_utc,
    orders.observed_at_utc,
    orders.fetch_id
from staging.orders as orders
inner join core.account_units as units
    on
        orders.account_id = units.account_id
        and coalesce(orders.paid_at_utc, orders.ordered_at_utc) >= units.from_at_utc
        and (units.to_at_utc is null or coalesce(orders.paid_at_utc, orders.ordered_at_utc) < units.to_at_utc)
