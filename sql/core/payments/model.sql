select
    -- ids
    payments.account_id,
    payments.payment_id,

    -- times
    payments.ordered_at_utc,
    -- A payment that has not been made has no such time, whatever the vendor's last timestamp is.
    case when payments.payment_status = 'settled' then payments.paid_at_utc end as paid_at_utc,

    -- amounts
    payments.payment_amount,
    payments.payment_tax_amount,
    coalesce(payments.unit_code, units.unit_code) as unit_code,

    -- description
    payments.payment_status,
    payments.payment_kind,
    payments.description,

    -- source
    payments.first_observed_at_utc,
    payments.observed_at_utc,
    payments.fetch_id
from staging.payments as payments
inner join core.account_units as units
    on
        payments.account_id = units.account_id
        and coalesce(payments.paid_at_utc, payments.ordered_at_utc) >= units.from_at_utc
        and (units.to_at_utc is null or coalesce(payments.paid_at_utc, payments.ordered_at_utc) < units.to_at_utc)
