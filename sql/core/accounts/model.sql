-- An account's unit is the current unit of its balance: that of its newest good reading, or if that has none, the one
-- that its owner configured. core.account_units has earlier units.
with

-- The view is expensive, so it is read once.
evidence as (
    select
        account_id,
        basis,
        is_fallback
    from staging.evidence
),

prices as (
    select
        account_id,
        arg_max(price_unit_code, from_date) as price_unit_code
    from staging.credit_prices
    group by account_id
),

-- Accounts whose payments are documented by any source of core.ledger_entries.
payers as (
    select account_id
    from staging.ledger_entries
    where entry_kind = 'top_up' and entry_status = 'settled'
    union distinct
    select orders.account_id
    from staging.orders as orders
    inner join evidence on orders.account_id = evidence.account_id and evidence.is_fallback
    where orders.order_kind = 'top_up' and orders.order_status = 'settled'
    union distinct
    select payments.account_id
    from staging.payments as payments
    left join evidence on payments.account_id = evidence.account_id
    where payments.payment_status = 'settled' and coalesce(evidence.basis, 'balance') <> 'ledger'
),

budgeted as (
    select
        scope,
        scope_id
    from staging.budgets
    group by scope, scope_id
),

named as (
    select
        accounts.*,
        units.unit_code as known_unit_code
    from staging.accounts as accounts
    inner join core.account_units as units on accounts.account_id = units.account_id and units.to_at_utc is null
    -- A former name of an account is not a separate account.
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
    payers.account_id is not null as has_documented_top_ups,
    periods.sign_convention,
    periods.amount_basis,
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

    -- FOCUS names
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
    -- Merging leaves out what is NULL. A tag of the owner's own is what it says, whatever its name.
    nullif(
        cast(
            json_merge_patch(
                cast('{}' as json),
                json_object(
                    'team', accounts.team,
                    'drawdown:account-budget', own_budgets.scope_id,
                    'drawdown:team-budget', team_budgets.scope_id
                ),
                cast(accounts.tags as json)
            ) as varchar
        ),
        '{}'
    ) as focus_tags
from named as accounts
cross join staging.build as build
left join core.ledger_periods as periods on accounts.account_id = periods.account_id and periods.to_date is null
left join evidence on accounts.account_id = evidence.account_id
left join payers on accounts.account_id = payers.account_id
left join prices on accounts.account_id = prices.account_id
left join budgeted as own_budgets on own_budgets.scope = 'account' and accounts.account_id = own_budgets.scope_id
left join budgeted as team_budgets
    on team_budgets.scope = 'team' and coalesce(accounts.team, 'unassigned') = team_budgets.scope_id
