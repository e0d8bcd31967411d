-- fail adds_up: It agrees with independent sources.
-- Reported charges are the same in both tables, and estimates are compared with the readings themselves.
with

reported as (
    select
        x_AccountId as account_id,
        BillingCurrency as currency_code,
        count(*) as charge_count,
        sum(BilledCost) as billed_cost,
        sum(case when ChargeCategory <> 'Purchase' then EffectiveCost else 0 end) as effective_cost
    from marts.focus_cost_and_usage
    group by x_AccountId, BillingCurrency
),

repeated as (
    select
        x_AccountId as account_id,
        BillingCurrency as currency_code,
        count(*) as charge_count,
        sum(BilledCost) as billed_cost,
        sum(EffectiveCost) as effective_cost
    from marts.focus_cost_and_usage_estimated
    where not x_IsEstimated
    group by x_AccountId, BillingCurrency
),

estimated as (
    select
        x_AccountId as account_id,
        BillingCurrency as currency_code,
        sum(PricingCurrencyEffectiveCost) as fall_amount
    from marts.focus_cost_and_usage_estimated
    where x_IsEstimated and x_CreditPrice is null
    group by x_AccountId, BillingCurrency
),

-- Consecutive good readings of accounts with balances only.
readings as (
    select
        snapshots.account_id,
        snapshots.unit_code,
        snapshots.balance_amount,
        lag(snapshots.unit_code) over following as opening_unit_code,
        lag(snapshots.balance_amount) over following + coalesce(bridge.quota_reset_amount, 0) as opening_amount
    from core.balance_snapshots as snapshots
    inner join core.accounts as accounts on snapshots.account_id = accounts.account_id
    left join (select distinct account_id from core.ledger_entries) as booked
        on snapshots.account_id = booked.account_id
    left join core.balance_bridge as bridge
        on snapshots.account_id = bridge.account_id and snapshots.observed_at_utc = bridge.closed_at_utc
    where
        snapshots.balance_amount is not null
        and accounts.evidence_level = 'balance'
        and accounts.same_as_account_id is null
        and booked.account_id is null
    window following as (partition by snapshots.account_id order by snapshots.observed_at_utc)
),

-- Only for currencies: other units may have had no price.
falls as (
    select
        account_id,
        unit_code,
        sum(case when balance_amount < opening_amount then opening_amount - balance_amount else 0 end) as fall_amount
    from readings
    where unit_code = opening_unit_code and unit_code <> 'unknown' and unit_code not like '%-%'
    group by account_id, unit_code
)

select distinct
    coalesce(reported.account_id, repeated.account_id) as account_id,
    'a reported charge is the same in both tables' as rule
from reported
full outer join repeated
    on reported.account_id = repeated.account_id and reported.currency_code = repeated.currency_code
where
    reported.charge_count is distinct from repeated.charge_count
    or reported.billed_cost is distinct from repeated.billed_cost
    or reported.effective_cost is distinct from repeated.effective_cost
union all
select distinct
    falls.account_id,
    'estimates add up to the falls of the balance' as rule
from falls
left join estimated on falls.account_id = estimated.account_id and falls.unit_code = estimated.currency_code
where falls.fall_amount <> coalesce(estimated.fall_amount, 0)
union all
select distinct
    x_AccountId as account_id,
    'an estimate is a cost of a period, of an account with balances alone, and names its two readings' as rule
from marts.focus_cost_and_usage_estimated
where
    x_IsEstimated
    and (
        x_EvidenceLevel <> 'balance'
        or EffectiveCost < 0
        or BilledCost <> 0
        or ChargeCategory <> 'Usage'
        or ChargePeriodStart >= ChargePeriodEnd
        or ChargePeriodEnd <= BillingPeriodStart
        or ChargePeriodEnd > BillingPeriodEnd
        or x_OpeningFetchId is null
        or x_ClosingFetchId is null
    )
union all
select distinct
    charges.x_AccountId as account_id,
    'an account under a second name is charged nothing' as rule
from marts.focus_cost_and_usage_estimated as charges
inner join core.accounts as accounts on charges.x_AccountId = accounts.account_id
where accounts.same_as_account_id is not null
