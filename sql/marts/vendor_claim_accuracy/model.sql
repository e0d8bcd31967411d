-- A vendor's claims compared with the actual spend of the days that they cover: the last claim of each UTC day for each
-- number of days, once all of these have been completely observed. A shortfall is spend beyond the claim.
with

dated as (
    select
        account_id,
        claim,
        observed_at_utc,
        fetch_id,
        claim_amount,
        unit_code,
        covers_from_date,
        covers_to_date,
        covers_to_date - covers_from_date + 1 as horizon_days,
        core.utc_date(observed_at_utc) as claim_date
    from core.vendor_claims
    where covers_from_date is not null and covers_to_date is not null
),

days as (
    select
        account_id,
        claim,
        horizon_days,
        claim_date,
        max(observed_at_utc) as observed_at_utc
    from dated
    group by account_id, claim, horizon_days, claim_date
),

claims as (
    select
        dated.*,
        row_number() over (
            partition by dated.account_id, dated.claim, dated.horizon_days, dated.claim_date
            order by dated.fetch_id desc
        ) as place
    from dated
    inner join days
        on
            dated.account_id = days.account_id
            and dated.claim = days.claim
            and dated.horizon_days = days.horizon_days
            and dated.observed_at_utc = days.observed_at_utc
),

with_spend as (
    select
        claims.account_id,
        claims.claim,
        claims.observed_at_utc,
        claims.claim_amount,
        claims.unit_code,
        claims.horizon_days,
        sum(spend.spend_amount) as spend_amount,
        count(case when spend.is_complete then 1 end) = claims.horizon_days as is_due
    from claims
    left join core.spend_daily as spend
        on
            claims.account_id = spend.account_id
            and claims.unit_code = spend.unit_code
            and claims.covers_from_date <= spend.spend_date
            and claims.covers_to_date >= spend.spend_date
    where claims.place = 1
    group by
        claims.account_id,
        claims.claim,
        claims.observed_at_utc,
        claims.claim_amount,
        claims.unit_code,
        claims.horizon_days
),

compared as (
    select
        with_spend.account_id,
        with_spend.claim,
        with_spend.observed_at_utc,
        with_spend.claim_amount,
        with_spend.unit_code,
        with_spend.horizon_days,
        case
            when not with_spend.is_due then null
            when with_spend.claim = 'shortfall' then greatest(with_spend.spend_amount - snapshots.balance_amount, 0)
            else with_spend.spend_amount
        end as actual_amount
    from with_spend
    left join core.balance_snapshots as snapshots
        on
            with_spend.account_id = snapshots.account_id
            and with_spend.unit_code = snapshots.unit_code
            and with_spend.observed_at_utc = snapshots.observed_at_utc
),

errors as (
    select
        *,
        claim_amount - actual_amount as error_amount
    from compared
)

select
    -- ids
    account_id,
    claim,
    cast(horizon_days as bigint) as horizon_days,
    unit_code,

    -- counts and errors
    count(*) as claim_count,
    count(actual_amount) as due_claim_count,
    count(case when claim_amount = actual_amount then 1 end) as exact_claim_count,
    core.mean_of(sum(error_amount), count(error_amount)) as mean_error_amount,
    core.mean_of(sum(abs(error_amount)), count(error_amount)) as mean_absolute_error_amount,
    cast(sum(abs(error_amount)) as double) / nullif(cast(sum(abs(actual_amount)) as double), 0)
        as absolute_error_ratio,

    -- the newest
    max(observed_at_utc) as observed_at_utc,
    arg_max(claim_amount, observed_at_utc) as claim_amount
from errors
group by account_id, claim, horizon_days, unit_code
