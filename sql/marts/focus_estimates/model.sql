-- For accounts with balances only an estimate for each fall of the balance: opening plus documented movements minus
-- closing, over the exact time between the two readings. An undocumented rise has no row. An estimate belongs to the
-- month in which its interval ends.
with

dirty_range as (
    select
        cast(min(dirty_month) as timestamp) at time zone 'UTC' as from_utc,
        (cast(max(dirty_month) as timestamp) + interval 1 month) at time zone 'UTC' as before_utc
    from staging.dirty_months
    where table_name = 'marts.focus_estimates'
),

-- An interval that closes at midnight belongs to the month before.
bridge as (
    select intervals.*
    from core.balance_bridge as intervals
    cross join dirty_range
    where
        intervals.evidence_level = 'balance'
        and intervals.closed_at_utc > dirty_range.from_utc
        and intervals.closed_at_utc <= dirty_range.before_utc
),

-- If only balances are known, documented usage (of a ledger that was never completely read) is part of the fall.
documented as (
    select
        intervals.account_id,
        intervals.closed_at_utc,
        sum(entries.entry_amount) as usage_amount
    from core.ledger_entries as entries
    asof inner join bridge as intervals
        on entries.account_id = intervals.account_id and entries.effective_at_utc <= intervals.closed_at_utc
    where
        entries.effective_at_utc > intervals.opened_at_utc
        and entries.unit_code = intervals.unit_code
        and entries.entry_kind = 'usage'
        and entries.entry_status in ('settled', 'unknown')
    group by intervals.account_id, intervals.closed_at_utc
),

-- The first currency of a balance names its billing account, so that a change of unit renames no earlier charge.
first_units as (
    select
        account_id,
        min(from_at_utc) as from_at_utc
    from core.account_units
    where unit_code <> 'unknown'
    group by account_id
),

billing as (
    select
        units.account_id,
        units.unit_code as currency_code
    from first_units
    inner join core.account_units as units
        on first_units.account_id = units.account_id and first_units.from_at_utc = units.from_at_utc
    where units.unit_code not like '%-%'
),

falls as (
    select
        bridge.account_id,
        bridge.opened_at_utc,
        bridge.closed_at_utc,
        bridge.opening_fetch_id,
        bridge.closing_fetch_id,
        bridge.unit_code,
        bridge.unit_code not like '%-%' and bridge.unit_code <> 'unknown' as is_currency,
        coalesce(documented.usage_amount, 0) - bridge.usage_amount as fall_amount,
        date_trunc('month', (bridge.closed_at_utc - interval 1 microsecond) at time zone 'UTC') as month_begin,
        cast((bridge.closed_at_utc - interval 1 microsecond) at time zone 'UTC' as date) as closed_date
    from bridge
    left join documented
        on bridge.account_id = documented.account_id and bridge.closed_at_utc = documented.closed_at_utc
),

priced as (
    select
        falls.*,
        case when falls.is_currency then falls.unit_code else prices.price_unit_code end as currency_code,
        case when not falls.is_currency then prices.price_amount end as price_amount,
        case
            when falls.is_currency or prices.price_amount is not null
                then core.at_price(falls.fall_amount, prices.price_amount)
        end as effective_cost
    from falls
    left join core.credit_prices as prices
        on
            falls.account_id = prices.account_id
            and falls.unit_code = prices.unit_code
            and falls.closed_date >= prices.from_date
            and falls.closed_date <= core.open_end(prices.to_date)
    where falls.fall_amount > 0
)

select
    cast(0 as decimal(38, 9)) as BilledCost,
    core.billing_account(
        priced.account_id, priced.currency_code, coalesce(billing.currency_code, accounts.BillingCurrency)
    ) as BillingAccountId,
    priced.currency_code as BillingCurrency,
    (priced.month_begin + interval 1 month) at time zone 'UTC' as BillingPeriodEnd,
    priced.month_begin at time zone 'UTC' as BillingPeriodStart,
    'Usage' as ChargeCategory,
    'Usage-Based' as ChargeFrequency,
    priced.closed_at_utc as ChargePeriodEnd,
    priced.opened_at_utc as ChargePeriodStart,
    priced.effective_cost as ContractedCost,
    priced.effective_cost as EffectiveCost,
    accounts.ServiceProviderName as InvoiceIssuerName,
    priced.effective_cost as ListCost,
    core.pricing_currency(
        priced.is_currency, priced.unit_code, accounts.unit_code, accounts.PricingCurrency
    ) as PricingCurrency,
    cast(priced.fall_amount as decimal(38, 9)) as PricingCurrencyEffectiveCost,
    accounts.ServiceCategory,
    accounts.ServiceName,
    accounts.ServiceProviderName,
    accounts.ServiceSubcategory,
    accounts.focus_tags as Tags,
    priced.account_id as x_AccountId,
    'balance/' || strftime(priced.closed_at_utc at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ') as x_ChargeId,
    priced.closing_fetch_id as x_ClosingFetchId,
    priced.price_amount as x_CreditPrice,
    accounts.evidence_level as x_EvidenceLevel,
    true as x_IsEstimated,
    'balance_delta' as x_MeasurementMethod,
    priced.opening_fetch_id as x_OpeningFetchId,
    accounts.vendor as x_Vendor
from priced
inner join core.accounts as accounts on priced.account_id = accounts.account_id
left join billing on priced.account_id = billing.account_id
where
    priced.currency_code is not null
    and priced.effective_cost is not null
    and accounts.same_as_account_id is null
