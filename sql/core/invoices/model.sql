select
    -- ids
    invoices.account_id,
    invoices.invoice_id,
    invoices.invoice_number,
    invoices.invoiced_at_utc,
    invoices.invoice_kind,

    -- amounts
    invoices.net_amount,
    invoices.gross_amount,
    coalesce(invoices.unit_code, units.unit_code) as unit_code,
    invoices.order_ids,

    -- source
    invoices.observed_at_utc,
    invoices.fetch_id
from staging.invoices as invoices
inner join core.account_units as units
    on
        invoices.account_id = units.account_id
        and invoices.invoiced_at_utc >= units.from_at_utc
        and (units.to_at_utc is null or invoices.invoiced_at_utc < units.to_at_utc)
