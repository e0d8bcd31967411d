-- fail adds_up: It agrees with independent sources.
-- The export is compared with the ledger, the usage days and the bridge, from which it was not priced.
with

entries as (
    select
        entries.account_id,
        entries.entry_id,
        entries.effective_at_utc,
        core.utc_midnight(date_trunc('month', core.utc_date(entries.effective_at_utc))) as month_at_utc,
        entries.entry_kind,
        entries.entry_amount,
        entries.entry_kind = 'top_up' or (entries.entry_kind = 'refund' and entries.entry_amount < 0) as is_purchase,
        accounts.evidence_level,
        case when entries.unit_code like '%-%' then prices.price_unit_code else entries.unit_code end as currency_code,
        case
            when entries.unit_code = 'unknown' then null
            when entries.unit_code not like '%-%' then entries.entry_amount
            else cast(
                try_cast(entries.entry_amount as decimal(19, 9)) * try_cast(prices.price_amount as decimal(19, 9))
                as decimal(38, 9)
            )
        end as cost_amount
    from core.ledger_entries as entries
    inner join core.accounts as accounts on entries.account_id = accounts.account_id
    left join core.credit_prices as prices
        on
            entries.account_id = prices.account_id
            and entries.unit_code = prices.unit_code
            and core.utc_date(entries.effective_at_utc) >= prices.from_date
            and core.utc_date(entries.effective_at_utc) <= core.open_end(prices.to_date)
    where
        entries.entry_status in ('settled', 'unknown')
        and (entries.entry_kind <> 'other' or entries.entry_amount < 0)
        and accounts.same_as_account_id is null
),

days as (
    select
        usage_days.account_id,
        date_trunc('month', cast(usage_days.usage_date as timestamp)) at time zone 'UTC' as month_at_utc,
        case when usage_days.unit_code like '%-%' then prices.price_unit_code else usage_days.unit_code end
            as currency_code,
        case
            when usage_days.unit_code = 'unknown' then null
            when usage_days.unit_code not like '%-%' then usage_days.credits_amount
            else cast(
                try_cast(usage_days.credits_amount as decimal(19, 9)) * try_cast(prices.price_amount as decimal(19, 9))
                as decimal(38, 9)
            )
        end as cost_amount
    from core.usage_days as usage_days
    inner join core.accounts as accounts on usage_days.account_id = accounts.account_id
    left join core.credit_prices as prices
        on
            usage_days.account_id = prices.account_id
            and usage_days.unit_code = prices.unit_code
            and usage_days.usage_date >= prices.from_date
            and usage_days.usage_date <= core.open_end(prices.to_date)
    where accounts.evidence_level = 'usage' and accounts.same_as_account_id is null
),

-- By account, month and currency: priced amounts paid in and used.
moved as (
    select
        account_id,
        month_at_utc,
        currency_code,
        sum(paid_amount) as paid_amount,
        sum(left_amount) as left_amount
    from (
        select
            account_id,
            month_at_utc,
            currency_code,
            case when is_purchase then cost_amount else 0 end as paid_amount,
            case when not is_purchase and evidence_level <> 'usage' then -cost_amount else 0 end as left_amount
        from entries
        union all
        select
            account_id,
            month_at_utc,
            currency_code,
            0 as paid_amount,
            cost_amount as left_amount
        from days
    ) as movements
    group by account_id, month_at_utc, currency_code
),

charged as (
    select
        x_AccountId as account_id,
        BillingPeriodStart as month_at_utc,
        BillingCurrency as currency_code,
        sum(BilledCost) as billed_cost,
        sum(case when ChargeCategory <> 'Purchase' then EffectiveCost else 0 end) as effective_cost
    from marts.focus_cost_and_usage
    group by x_AccountId, BillingPeriodStart, BillingCurrency
),

compared as (
    select
        coalesce(moved.account_id, charged.account_id) as account_id,
        coalesce(moved.paid_amount, 0) as paid_amount,
        coalesce(moved.left_amount, 0) as left_amount,
        coalesce(charged.billed_cost, 0) as billed_cost,
        coalesce(charged.effective_cost, 0) as effective_cost
    from moved
    full outer join charged
        on
            moved.account_id = charged.account_id
            and moved.month_at_utc = charged.month_at_utc
            and moved.currency_code = charged.currency_code
),

-- -- from the first reading to the last ------------------------------------------------------------------------------

-- Each stretch of readings in one unit separately: there is no interval between different units.
bridged as (
    select
        bridge.account_id,
        units.from_at_utc,
        bridge.unit_code,
        max(bridge.evidence_level) as evidence_level,
        min(bridge.opened_at_utc) as opened_at_utc,
        max(bridge.closed_at_utc) as closed_at_utc,
        -sum(bridge.usage_amount) as usage_amount,
        -sum(
            bridge.usage_amount + bridge.renewal_amount + bridge.tax_amount + bridge.refund_amount
            + bridge.adjustment_amount
        ) as left_amount
    from core.balance_bridge as bridge
    inner join core.account_units as units
        on
            bridge.account_id = units.account_id
            and bridge.closed_at_utc >= units.from_at_utc
            and (units.to_at_utc is null or bridge.closed_at_utc < units.to_at_utc)
    group by bridge.account_id, units.from_at_utc, bridge.unit_code
),

drawn as (
    select
        x_AccountId as account_id,
        x_EntryId as entry_id,
        sum(PricingCurrencyEffectiveCost) as drawn_amount
    from marts.focus_cost_and_usage
    where x_EntryId is not null
    group by x_AccountId, x_EntryId
),

-- Entries that are no charge for service, or have no price, count as in the ledger: the bridge has no prices.
entered as (
    select
        bridged.account_id,
        bridged.from_at_utc,
        sum(
            case
                when drawn.drawn_amount is null or (entries.entry_kind = 'refund' and entries.entry_amount < 0)
                    then -entries.entry_amount
                else drawn.drawn_amount
            end
        ) as left_amount,
        sum(case when entries.entry_kind = 'usage' then -entries.entry_amount else 0 end) as booked_amount
    from bridged
    inner join core.ledger_entries as entries
        on
            bridged.account_id = entries.account_id
            and bridged.unit_code = entries.unit_code
            and bridged.opened_at_utc < entries.effective_at_utc
            and bridged.closed_at_utc >= entries.effective_at_utc
    left join drawn on entries.account_id = drawn.account_id and entries.entry_id = drawn.entry_id
    where
        entries.entry_status in ('settled', 'unknown')
        and entries.entry_kind <> 'top_up'
    group by bridged.account_id, bridged.from_at_utc
),

-- It is not recorded how much of a day had been stated when the balance was read, so the first and the last day leave a
-- margin: from the least to the most that was ever stated of them, or zero. Returned credits are below zero.
margins as (
    select
        bridged.account_id,
        bridged.from_at_utc,
        least(min(case when ends.is_first then statements.credits_amount end), 0) as first_least_amount,
        greatest(max(case when ends.is_first then statements.credits_amount end), 0) as first_most_amount,
        least(min(case when ends.is_last then statements.credits_amount end), 0) as last_least_amount,
        greatest(max(case when ends.is_last then statements.credits_amount end), 0) as last_most_amount
    from bridged
    inner join staging.usage_statements as statements on bridged.account_id = statements.account_id
    cross join
        lateral (
            select
                statements.usage_date = core.utc_date(bridged.opened_at_utc) as is_first,
                statements.usage_date = core.utc_date(bridged.closed_at_utc) as is_last
        ) as ends
    group by bridged.account_id, bridged.from_at_utc
),

used as (
    select
        bridged.account_id,
        bridged.from_at_utc,
        sum(coalesce(charges.PricingCurrencyEffectiveCost, usage_days.credits_amount)) as used_amount
    from bridged
    inner join core.usage_days as usage_days
        on
            bridged.account_id = usage_days.account_id
            and bridged.unit_code = usage_days.unit_code
            and core.utc_date(bridged.opened_at_utc) <= usage_days.usage_date
            and core.utc_date(bridged.closed_at_utc) > usage_days.usage_date
    left join marts.focus_cost_and_usage as charges
        on
            usage_days.account_id = charges.x_AccountId
            and charges.x_MeasurementMethod = 'usage_day'
            and cast(usage_days.usage_date as timestamp) at time zone 'UTC' = charges.ChargePeriodStart
    group by bridged.account_id, bridged.from_at_utc
)

select distinct
    x_AccountId as account_id,
    'a charge period is half-open and in order, within its billing period, which is a UTC month' as rule
from marts.focus_cost_and_usage
where
    ChargePeriodStart >= ChargePeriodEnd
    or ChargePeriodStart < BillingPeriodStart
    or ChargePeriodEnd > BillingPeriodEnd
    or core.utc_midnight(date_trunc('month', core.utc_date(BillingPeriodStart))) <> BillingPeriodStart
    or core.utc_midnight(last_day(core.utc_date(BillingPeriodStart)) + 1) <> BillingPeriodEnd
union all
select distinct
    account_id,
    'BilledCost of a month is what the ledger has as paid in' as rule
from compared
where billed_cost <> paid_amount
union all
select distinct
    account_id,
    'EffectiveCost of a month is what left by the ledger or by usage' as rule
from compared
where effective_cost <> left_amount
union all
select distinct
    x_AccountId as account_id,
    'a purchase is used up by its drawdown, or at once if no drawdown is ever reported' as rule
from marts.focus_cost_and_usage
where
    ChargeCategory = 'Purchase'
    and EffectiveCost <> 0
    and (x_EvidenceLevel <> 'balance' or EffectiveCost <> BilledCost)
union all
select distinct
    bridged.account_id,
    'EffectiveCost between the first and the last reading is what the bridge has as gone' as rule
from bridged
left join entered on bridged.account_id = entered.account_id and bridged.from_at_utc = entered.from_at_utc
where bridged.evidence_level = 'ledger' and bridged.left_amount <> coalesce(entered.left_amount, 0)
union all
select distinct
    bridged.account_id,
    'usage charged between the first and the last reading is what the bridge has as used' as rule
from bridged
inner join used on bridged.account_id = used.account_id and bridged.from_at_utc = used.from_at_utc
left join entered on bridged.account_id = entered.account_id and bridged.from_at_utc = entered.from_at_utc
left join margins on bridged.account_id = margins.account_id and bridged.from_at_utc = margins.from_at_utc
where
    bridged.evidence_level = 'usage'
    and (
        bridged.usage_amount - coalesce(entered.booked_amount, 0)
        < used.used_amount - coalesce(margins.first_most_amount, 0) + coalesce(margins.last_least_amount, 0)
        or bridged.usage_amount - coalesce(entered.booked_amount, 0)
        > used.used_amount - coalesce(margins.first_least_amount, 0) + coalesce(margins.last_most_amount, 0)
    )
union all
select
    min(x_AccountId) as account_id,
    'a billing account has one currency in a month' as rule
from marts.focus_cost_and_usage
group by BillingAccountId, BillingPeriodStart
having count(distinct BillingCurrency) > 1
union all
select distinct
    x_AccountId as account_id,
    'nothing is estimated' as rule
from marts.focus_cost_and_usage
where x_IsEstimated or x_MeasurementMethod = 'balance_delta'
