-- An account's unit is what its newest good reading says; where that says nothing, what its owner configured.
with

newest as (
    select
        account_id,
        max(observed_at_utc) as observed_at_utc
    from staging.balances
    where unit_code is not null
    group by account_id
),

newest_unit as (
    select
        balances.account_id,
        arg_max(balances.unit_code, balances.fetch_id) as unit_code
    from staging.balances as balances
    inner join newest
        on balances.account_id = newest.account_id and balances.observed_at_utc = newest.observed_at_utc
    where balances.unit_code is not null
    group by balances.account_id
)

select
    -- ids
    accounts.account_id,
    accounts.vendor,
    accounts.is_configured,

    -- units and evidence
    coalesce(newest_unit.unit_code, accounts.unit_code, 'unknown') as unit_code,
    accounts.tax_basis,
    coalesce(evidence.basis, 'balance') as evidence_level,
    conventions.sign_convention,
    conventions.amount_basis,
    build.reporting_unit_code,
    accounts.stale_after_seconds,

    -- the owner's settings
    accounts.team,
    accounts.tags,
    accounts.alert_below_days,
    accounts.alert_below_amount,
    accounts.topup_lead_days,
    accounts.topup_minimum_amount,
    accounts.tax_rate
from staging.accounts as accounts
cross join staging.build as build
left join core.ledger_conventions as conventions on accounts.account_id = conventions.account_id
left join newest_unit on accounts.account_id = newest_unit.account_id
left join staging.evidence as evidence on accounts.account_id = evidence.account_id
