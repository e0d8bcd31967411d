select
    entries.account_id,
    entries.entry_id,
    entries.effective_at_utc,
    entries.entry_amount,
    entries.unit_code,
    coalesce(kinds.entry_kind, 'other') as entry_kind,
    coalesce(statuses.entry_status, 'unknown') as entry_status,
    entries.vendor_entry_type,
    entries.description,
    entries.first_observed_at_utc,
    entries.first_entry_amount,
    entries.observed_at_utc,
    entries.fetch_id
from {{ ref('stg_ledger_entries') }} as entries
left join {{ ref('entry_kinds') }} as kinds on entries.vendor_entry_type = kinds.vendor_entry_type
left join {{ ref('entry_statuses') }} as statuses on entries.vendor_status = statuses.vendor_status
