-- Charges as vendors report them, in FOCUS 1.4. Money paid in is a Purchase: billed, and not yet used. Money that
-- leaves the balance is Usage: used, and billed before. A ledger entry is charged to its UTC day, so a month contains
-- its own usage. Amounts without a price in a currency have no row.
with

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

entries as (
    select
        entries.account_id,
        entries.entry_id,
        core.utc_date(entries.effective_at_utc) as charge_date,
        entries.entry_kind,
        coalesce(entries.description, entries.vendor_entry_type) as description,
        entries.unit_code,
        entries.fetch_id,
        -- A refund that takes money out of the account returns a purchase, not service.
        entries.entry_kind = 'top_up' or (entries.entry_kind = 'refund' and entries.entry_amount < 0) as is_purchase,
        entries.entry_amount
    from core.ledger_entries as entries
    inner join core.accounts as accounts on entries.account_id = accounts.account_id
    where
        entries.entry_status in ('settled', 'unknown')
        -- Incoming money of an unknown kind is neither a purchase nor service.
        and (entries.entry_kind <> 'other' or entries.entry_amount < 0)
        -- If the best evidence is usage by day, drawdown follows from the days.
        and (
            accounts.evidence_level <> 'usage'
            or entries.entry_kind = 'top_up'
            or (entries.entry_kind = 'refund' and entries.entry_amount < 0)
        )
),

charges as (
    select
        account_id,
        'entry/' || entry_id as charge_id,
        entry_id,
        charge_date,
        case
            when is_purchase then 'Purchase'
            when entry_kind = 'tax' then 'Tax'
            when entry_kind in ('adjustment', 'other') then 'Adjustment'
            else 'Usage'
        end as charge_category,
        case entry_kind when 'usage' then 'Usage-Based' when 'renewal' then 'Recurring' else 'One-Time' end
            as charge_frequency,
        description,
        cast(null as double) as quantity,
        cast(null as varchar) as quantity_unit,
        case when is_purchase then entry_amount when entry_kind = 'tax' then -entry_amount else 0 end as billed_amount,
        case when is_purchase then 0 else -entry_amount end as drawn_amount,
        unit_code,
        'ledger_entry' as measurement_method,
        fetch_id
    from entries
    union all
    -- In FOCUS a tax is billed when it is levied, but a prepaid one was billed with the purchase that pays for it.
    select
        account_id,
        'entry/' || entry_id || '/prepaid' as charge_id,
        entry_id,
        charge_date,
        'Purchase' as charge_category,
        'One-Time' as charge_frequency,
        description,
        cast(null as double) as quantity,
        cast(null as varchar) as quantity_unit,
        entry_amount as billed_amount,
        0 as drawn_amount,
        unit_code,
        'ledger_entry' as measurement_method,
        fetch_id
    from entries
    where entry_kind = 'tax'
    union all
    select
        usage_days.account_id,
        'usage/' || cast(usage_days.usage_date as varchar) as charge_id,
        cast(null as varchar) as entry_id,
        usage_days.usage_date as charge_date,
        'Usage' as charge_category,
        'Usage-Based' as charge_frequency,
        cast(null as varchar) as description,
        usage_days.usage_quantity as quantity,
        usage_days.usage_unit as quantity_unit,
        0 as billed_amount,
        usage_days.credits_amount as drawn_amount,
        usage_days.unit_code,
        'usage_day' as measurement_method,
        usage_days.fetch_id
    from core.usage_days as usage_days
    inner join core.accounts as accounts on usage_days.account_id = accounts.account_id
    where accounts.evidence_level = 'usage' and usage_days.credits_amount is not null
),

measured as (
    select
        charges.*,
        charges.unit_code not like '%-%' and charges.unit_code <> 'unknown' as is_currency,
        case
            when drawn_down.account_id is null and charges.charge_category = 'Purchase' then charges.billed_amount
            else charges.drawn_amount
        end as effective_amount,
        -- The stated digits, if they fit into nine decimals and 29 integer digits. FOCUS allows no negative quantity.
        case when charges.quantity >= 0 then try_cast(charges.quantity as decimal(38, 9)) end as consumed_quantity
    from charges
    left join core.drawdown_accounts as drawn_down on charges.account_id = drawn_down.account_id
),

priced as (
    select
        measured.*,
        case when measured.is_currency then measured.unit_code else prices.price_unit_code end as currency_code,
        case when not measured.is_currency then prices.price_amount end as price_amount,
        -- With more than ten integer digits the product would not fit, so there is no row.
        case
            when measured.is_currency or prices.price_amount is not null
                then core.at_price(measured.billed_amount, prices.price_amount)
        end as billed_cost,
        case
            when measured.is_currency or prices.price_amount is not null
                then core.at_price(measured.effective_amount, prices.price_amount)
        end as effective_cost
    from measured
    left join core.credit_prices as prices
        on
            measured.account_id = prices.account_id
            and measured.unit_code = prices.unit_code
            and measured.charge_date >= prices.from_date
            and measured.charge_date <= core.open_end(prices.to_date)
)

select
    priced.billed_cost as BilledCost,
    core.billing_account(
        priced.account_id, priced.currency_code, coalesce(billing.currency_code, accounts.BillingCurrency)
    ) as BillingAccountId,
    cast(null as varchar) as BillingAccountName,
    priced.currency_code as BillingCurrency,
    core.utc_midnight(last_day(priced.charge_date) + 1) as BillingPeriodEnd,
    core.utc_midnight(date_trunc('month', priced.charge_date)) as BillingPeriodStart,
    priced.charge_category as ChargeCategory,
    cast(null as varchar) as ChargeClass,
    priced.description as ChargeDescription,
    priced.charge_frequency as ChargeFrequency,
    core.utc_midnight(priced.charge_date + 1) as ChargePeriodEnd,
    core.utc_midnight(priced.charge_date) as ChargePeriodStart,
    priced.consumed_quantity as ConsumedQuantity,
    -- FOCUS units begin with a capital letter.
    case
        when priced.consumed_quantity is not null
            then upper(substring(priced.quantity_unit, 1, 1)) || substring(priced.quantity_unit, 2)
    end as ConsumedUnit,
    case when priced.charge_category = 'Purchase' then priced.billed_cost else priced.effective_cost end
        as ContractedCost,
    priced.effective_cost as EffectiveCost,
    cast(null as varchar) as HostProviderName,
    accounts.ServiceProviderName as InvoiceIssuerName,
    case when priced.charge_category = 'Purchase' then priced.billed_cost else priced.effective_cost end as ListCost,
    core.pricing_currency(
        priced.is_currency, priced.unit_code, accounts.unit_code, accounts.PricingCurrency
    ) as PricingCurrency,
    cast(priced.effective_amount as decimal(38, 9)) as PricingCurrencyEffectiveCost,
    cast(null as decimal(38, 9)) as PricingQuantity,
    cast(null as varchar) as PricingUnit,
    accounts.ServiceCategory,
    accounts.ServiceName,
    accounts.ServiceProviderName,
    accounts.ServiceSubcategory,
    accounts.focus_tags as Tags,
    priced.account_id as x_AccountId,
    priced.charge_id as x_ChargeId,
    priced.price_amount as x_CreditPrice,
    priced.entry_id as x_EntryId,
    accounts.evidence_level as x_EvidenceLevel,
    priced.fetch_id as x_FetchId,
    false as x_IsEstimated,
    priced.measurement_method as x_MeasurementMethod,
    accounts.vendor as x_Vendor
from priced
inner join core.accounts as accounts on priced.account_id = accounts.account_id
left join billing on priced.account_id = billing.account_id
where
    priced.currency_code is not null
    and priced.billed_cost is not null
    and priced.effective_cost is not null
    -- Two names for one account at its vendor are charged once.
    and accounts.same_as_account_id is null
