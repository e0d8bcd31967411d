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
),

prices as (
    select
        account_id,
        arg_max(price_unit_code, from_date) as price_unit_code
    from staging.credit_prices
    group by account_id
),

named as (
    select
        accounts.*,
        coalesce(newest_unit.unit_code, accounts.unit_code, 'unknown') as known_unit_code
    from staging.accounts as accounts
    left join newest_unit on accounts.account_id = newest_unit.account_id
    -- A former name of an account is no account of its own.
    left join staging.account_aliases as aliases on accounts.account_id = aliases.former_account_id
    where aliases.former_account_id is null
)

select
    -- ids
    accounts.account_id,
    accounts.vendor,
    accounts.is_configured,
    accounts.same_as_account_id,

    -- units and evidence
    accounts.known_unit_code as unit_code,
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
    accounts.tax_rate,

    -- in the words of FOCUS
    accounts.ServiceProviderName,
    accounts.ServiceName,
    accounts.ServiceCategory,
    accounts.ServiceSubcategory,
    case
        when accounts.known_unit_code = 'unknown' then null
        when accounts.known_unit_code like '%-%' then prices.price_unit_code
        else accounts.known_unit_code
    end as BillingCurrency,
    case
        when accounts.known_unit_code = 'unknown' then null
        when accounts.known_unit_code like '%-%' then coalesce(accounts.PricingCurrency, accounts.known_unit_code)
        else accounts.known_unit_code
    end as PricingCurrency,
    -- A tag that the owner named `team` is what it says.
    nullif(
        case
            when accounts.team is null then accounts.tags
            else cast(json_merge_patch(json_object('team', accounts.team), cast(accounts.tags as json)) as varchar)
        end,
        '{}'
    ) as focus_tags
from named as accounts
cross join staging.build as build
left join core.ledger_conventions as conventions on accounts.account_id = conventions.account_id
left join staging.evidence as evidence on accounts.account_id = evidence.account_id
left join prices on accounts.account_id = prices.account_id
