-- Forecasts whose days are all past and complete, scored on the sum of those days: Drawdown's as issued, and for
-- comparison means as people calculate them, the vendor's own estimate and its prices of all resources that it billed
-- at that time, over the same days.
with

spend as (
    select
        account_id,
        spend_date,
        unit_code,
        spend_amount as spend,
        is_complete
    from core.spend_daily
),

issued as (
    select
        totals.account_id,
        totals.issue_date,
        totals.horizon_days,
        totals.forecast_date,
        totals.unit_code,
        totals.p05_amount as p05,
        totals.p10_amount as p10,
        totals.p25_amount as p25,
        totals.p50_amount as p50,
        totals.p75_amount as p75,
        totals.p90_amount as p90,
        totals.p95_amount as p95
    from forecasts.cost_total as totals
    where totals.horizon_days in (1, 7, 30, 90)
),

due as (
    select
        issued.account_id,
        issued.issue_date,
        issued.horizon_days,
        issued.unit_code,
        sum(spend.spend) as came
    from issued
    inner join spend
        on
            issued.account_id = spend.account_id
            and issued.unit_code = spend.unit_code
            and issued.issue_date <= spend.spend_date
            and issued.forecast_date >= spend.spend_date
    where spend.is_complete
    group by issued.account_id, issued.issue_date, issued.horizon_days, issued.unit_code
    having count(*) = issued.horizon_days
),

-- Known spend of the days before each issue.
means as (
    select
        due.account_id,
        due.issue_date,
        due.horizon_days,
        core.mean_of(
            sum(case when spend.spend_date >= due.issue_date - 7 then spend.spend end),
            count(case when spend.spend_date >= due.issue_date - 7 then 1 end)
        ) as mean_7d,
        core.mean_of(sum(spend.spend), count(*)) as mean_28d
    from due
    inner join spend
        on
            due.account_id = spend.account_id
            and due.unit_code = spend.unit_code
            and due.issue_date > spend.spend_date
            and due.issue_date - 28 <= spend.spend_date
    where spend.is_complete
    group by due.account_id, due.issue_date, due.horizon_days
),

-- The vendor's newest estimate, and its newest prices, before the end of the day of issue, for its own span, by day.
claimed as (
    select
        due.account_id,
        due.issue_date,
        due.horizon_days,
        case claims.claim when 'burn_now' then 'burn_now' else 'vendor' end as forecaster,
        arg_max(
            core.mean_of(claims.claim_amount, claims.covers_to_date - claims.covers_from_date + 1),
            claims.observed_at_utc
        ) as a_day
    from due
    inner join core.vendor_claims as claims
        on
            due.account_id = claims.account_id
            and due.unit_code = claims.unit_code
            and due.issue_date = core.utc_date(claims.observed_at_utc)
    where claims.claim in ('estimated_expenses', 'burn_now') and claims.covers_to_date >= claims.covers_from_date
    group by due.account_id, due.issue_date, due.horizon_days, claims.claim
),

dry as (
    select
        due.account_id,
        due.issue_date,
        due.horizon_days,
        -- Exact, so that the mean does not depend on the order of rows. From a reset on, a quota's total says nothing.
        case
            when runway.resets_at_utc is null or curve.forecast_date < core.utc_date(runway.resets_at_utc)
                then cast(
                    power(
                        curve.depleted_probability
                        - case when due.came > runway.day_start_amount then 1 else 0 end,
                        2
                    ) as decimal(18, 12)
                )
        end as brier
    from due
    inner join forecasts.runway_curve as curve
        on
            due.account_id = curve.account_id
            and due.issue_date = curve.issue_date
            and due.horizon_days = curve.horizon_days
    inner join forecasts.runway as runway
        on due.account_id = runway.account_id and due.issue_date = runway.issue_date
),

ours as (
    select
        issued.*,
        due.came,
        dry.brier
    from issued
    inner join due
        on
            issued.account_id = due.account_id
            and issued.issue_date = due.issue_date
            and issued.horizon_days = due.horizon_days
    inner join dry
        on
            issued.account_id = dry.account_id
            and issued.issue_date = dry.issue_date
            and issued.horizon_days = dry.horizon_days
),

scored as (
    select
        account_id,
        'drawdown' as forecaster,
        horizon_days,
        unit_code,
        issue_date,
        core.mean_of(
            greatest(0.05 * (came - p05), (0.05 - 1) * (came - p05))
            + greatest(0.10 * (came - p10), (0.10 - 1) * (came - p10))
            + greatest(0.25 * (came - p25), (0.25 - 1) * (came - p25))
            + greatest(0.50 * (came - p50), (0.50 - 1) * (came - p50))
            + greatest(0.75 * (came - p75), (0.75 - 1) * (came - p75))
            + greatest(0.90 * (came - p90), (0.90 - 1) * (came - p90))
            + greatest(0.95 * (came - p95), (0.95 - 1) * (came - p95)),
            7
        ) as pinball,
        abs(came - p50) as error,
        case when came between p10 and p90 then 1.0 else 0.0 end as is_in_80,
        case when came between p05 and p95 then 1.0 else 0.0 end as is_in_90,
        case when came < p10 then 1.0 else 0.0 end as is_below,
        case when came > p90 then 1.0 else 0.0 end as is_above,
        -- Halfway between the levels on either side of the actual amount, so that ties, such as days without spend, are
        -- fair.
        cast((
            greatest(
                case when p05 < came then 0.05 else 0 end,
                case when p10 < came then 0.10 else 0 end,
                case when p25 < came then 0.25 else 0 end,
                case when p50 < came then 0.50 else 0 end,
                case when p75 < came then 0.75 else 0 end,
                case when p90 < came then 0.90 else 0 end,
                case when p95 < came then 0.95 else 0 end
            )
            + least(
                case when p05 > came then 0.05 else 1 end,
                case when p10 > came then 0.10 else 1 end,
                case when p25 > came then 0.25 else 1 end,
                case when p50 > came then 0.50 else 1 end,
                case when p75 > came then 0.75 else 1 end,
                case when p90 > came then 0.90 else 1 end,
                case when p95 > came then 0.95 else 1 end
            )
        ) / 2 as decimal(4, 3)) as pit,
        brier
    from ours
),

point_forecasts as (
    select
        account_id,
        issue_date,
        horizon_days,
        'mean_7d' as forecaster,
        mean_7d * horizon_days as point
    from means
    where mean_7d is not null
    union all
    select
        account_id,
        issue_date,
        horizon_days,
        'mean_28d' as forecaster,
        mean_28d * horizon_days as point
    from means
    union all
    select
        account_id,
        issue_date,
        horizon_days,
        forecaster,
        a_day * horizon_days as point
    from claimed
),

-- For a single number used as every quantile, the pinball loss is half its error.
point_scores as (
    select
        point_forecasts.account_id,
        point_forecasts.forecaster,
        point_forecasts.horizon_days,
        ours.unit_code,
        point_forecasts.issue_date,
        core.mean_of(abs(ours.came - point_forecasts.point), 2) as pinball,
        abs(ours.came - point_forecasts.point) as error
    from point_forecasts
    inner join ours
        on
            point_forecasts.account_id = ours.account_id
            and point_forecasts.issue_date = ours.issue_date
            and point_forecasts.horizon_days = ours.horizon_days
),

all_scores as (
    select * from scored
    union all
    select
        account_id,
        forecaster,
        horizon_days,
        unit_code,
        issue_date,
        pinball,
        error,
        null as is_in_80,
        null as is_in_90,
        null as is_below,
        null as is_above,
        null as pit,
        null as brier
    from point_scores
)

select
    -- ids
    account_id,
    forecaster,
    horizon_days,
    max(unit_code) as unit_code,

    -- number and period
    count(*) as forecast_count,
    min(issue_date) as first_issue_date,
    max(issue_date) as last_issue_date,

    -- errors
    core.mean_of(sum(pinball), count(*)) as mean_pinball_amount,
    core.mean_of(sum(error), count(*)) as mean_absolute_error_amount,

    -- calibration
    avg(is_in_80) as coverage_80_ratio,
    avg(is_in_90) as coverage_90_ratio,
    avg(is_below) as below_80_ratio,
    avg(is_above) as above_80_ratio,
    avg(pit) as mean_pit_ratio,
    avg(brier) as brier_score
from all_scores
group by account_id, forecaster, horizon_days
