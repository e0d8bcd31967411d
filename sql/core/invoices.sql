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
    coalesce(invoices.unit_code, accounts.unit_code) as unit_code,
    invoices.order_ids,

    -- where it came from
    invoices.observed_at_utc,
    invoices.fetch_id
from staging.invoices as invoices
inner join core.accounts as accounts on invoices.account_id = accounts.account_id
