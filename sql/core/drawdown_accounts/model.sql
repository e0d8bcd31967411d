-- Accounts whose drawdown is reported. For the others, a purchase is the only charge that is ever reported.
select account_id
from core.accounts
where evidence_level <> 'balance'
union
select entries.account_id
from core.ledger_entries as entries
inner join core.accounts as accounts on entries.account_id = accounts.account_id
where
    entries.entry_status in ('settled', 'unknown')
    -- Incoming money of an unknown kind is neither a purchase nor service.
    and (entries.entry_kind <> 'other' or entries.entry_amount < 0)
    and entries.entry_kind <> 'top_up'
    and not (entries.entry_kind = 'refund' and entries.entry_amount < 0)
    -- Of the others, all are in the first part.
    and accounts.evidence_level = 'balance'
