-- How urgent an account is, by limits that a person can check. Where there is a forecast: critical when it is as
-- likely as not to run dry within 7 days, a warning within 14 days or with 1 chance in 10 within 7, to be watched
-- within 30 days or with 1 chance in 10 within 14. Without one, the days left at the mean of 28 days are held to the
-- same limits. An old or failed reading never counts as urgent or as fine: it is unknown, and so is an account without
-- a forecast and without a complete day of spend behind it.
with

limits as (
    select
        7.0 as critical_days,
        14.0 as warning_days,
        30.0 as watch_days,
        3650.0 as longest_days
),

read as (
    select
        account_id,
        max(observed_at_utc) as observed_at_utc,
        count(*) as reading_count
    from core.balance_snapshots
    where balance_amount is not null
    group by account_id
),

newest as (
    select
        snapshots.*,
        read.reading_count
    from core.balance_snapshots as snapshots
    inner join read
        on snapshots.account_id = read.account_id and snapshots.observed_at_utc = read.observed_at_utc
    where snapshots.balance_amount is not null
),

-- How the newest attempt to read each balance ended, unreadable answers included.
attempted as (
    select
        fetches.account_id,
        max(fetches.fetch_id) as fetch_id
    from staging.fetches as fetches
    inner join core.accounts as accounts
        on fetches.account_id = accounts.account_id and fetches.vendor = accounts.vendor
    where fetches.is_reading
    group by fetches.account_id
),

attempts as (
    select
        fetches.account_id,
        fetches.outcome,
        fetches.fetch_id
    from staging.fetches as fetches
    inner join attempted on fetches.fetch_id = attempted.fetch_id
),

last_days as (
    select
        account_id,
        max(spend_date) as spend_date
    from core.spend_daily
    where is_complete
    group by account_id
),

burn as (
    select
        spend.account_id,
        cast(
            sum(case when spend.spend_date > last_days.spend_date - 7 then spend.spend_amount end)
            / count(case when spend.spend_date > last_days.spend_date - 7 then 1 end)
            as decimal(38, 9)
        ) as burn_7d_amount,
        cast(sum(spend.spend_amount) / count(*) as decimal(38, 9)) as burn_28d_amount,
        cast(count(*) as double) as history_days
    from core.spend_daily as spend
    inner join last_days on spend.account_id = last_days.account_id
    where spend.is_complete and spend.spend_date > last_days.spend_date - 28
    group by spend.account_id
),

joined as (
    select
        accounts.*,
        newest.balance_amount,
        newest.observed_at_utc,
        cast(newest.observed_at_utc at time zone 'UTC' as date) as read_date,
        coalesce(newest.reading_count, 0) as reading_count,
        newest.threshold_amount,
        newest.unconfirmed_amount,
        newest.fetch_id,
        -- greatest() passes over a NULL, and what was never observed is not new.
        case
            when newest.observed_at_utc is not null
                then cast(greatest(date_diff('second', newest.observed_at_utc, build.as_of_utc), 0) as double)
        end as age_seconds,
        attempts.outcome,
        attempts.fetch_id as attempt_fetch_id,
        burn.burn_7d_amount,
        burn.burn_28d_amount,
        coalesce(burn.history_days, 0) as burn_days,
        forecast.method as forecast_method,
        forecast.history_days as forecast_history_days,
        forecast.runway_p10_date,
        forecast.runway_p50_date as forecast_p50_date,
        forecast.runway_p90_date,
        forecast.depleted_7d_probability,
        forecast.depleted_30d_probability,
        forecast.beyond_horizon_probability,
        plan.topup_amount,
        plan.topup_gross_amount,
        plan.order_by_date,
        plan.topup_advice
    from core.accounts as accounts
    cross join staging.build as build
    left join newest on accounts.account_id = newest.account_id
    left join attempts on accounts.account_id = attempts.account_id
    left join burn on accounts.account_id = burn.account_id
    left join forecasts.current_runway as forecast
        on accounts.account_id = forecast.account_id and newest.observed_at_utc = forecast.observed_at_utc
    left join forecasts.current_topup_plan as plan on forecast.account_id = plan.account_id
    where accounts.is_configured
),

states as (
    select
        joined.*,
        case
            when joined.balance_amount is null then 'unknown'
            when
                joined.attempt_fetch_id > joined.fetch_id or joined.age_seconds > joined.stale_after_seconds
                then 'stale'
            else 'fresh'
        end as reading_state,
        case
            when joined.balance_amount <= 0 then 0.0
            when joined.forecast_p50_date is not null
                then cast(joined.forecast_p50_date - joined.read_date as double)
            when joined.balance_amount > 0 and joined.burn_28d_amount > 0
                then greatest(
                    cast(joined.balance_amount as double) / joined.burn_28d_amount,
                    -- What is more likely than not to last beyond the horizon lasts at least as long as that.
                    case when joined.forecast_method is not null then 90.0 else 0.0 end
                )
        end as full_runway_days,
        cast(joined.runway_p10_date - joined.read_date as double) as cautious_days
    from joined
),

runways as (
    select
        states.*,
        states.burn_days > 0 or states.forecast_method is not null as is_known,
        case when states.full_runway_days <= limits.longest_days then states.full_runway_days end as runway_days,
        coalesce(states.full_runway_days > limits.longest_days, false) as is_beyond
    from states
    cross join limits
),

judged as (
    select
        runways.*,
        case
            when runways.reading_state <> 'fresh' then 'unknown'
            when runways.balance_amount <= 0 then 'critical'
            when not runways.is_known and runways.balance_amount < runways.alert_below_amount then 'warning'
            when not runways.is_known then 'unknown'
            when runways.runway_days <= limits.critical_days then 'critical'
            when
                runways.runway_days <= limits.warning_days
                or runways.cautious_days <= limits.critical_days
                or runways.runway_days < runways.alert_below_days
                or runways.balance_amount < runways.alert_below_amount
                then 'warning'
            when
                runways.runway_days <= limits.watch_days
                or runways.cautious_days <= limits.warning_days
                or runways.balance_amount < runways.threshold_amount
                then 'watch'
            else 'ok'
        end as severity
    from runways
    cross join limits
),

converted as (
    select
        judged.*,
        prices.price_unit_code,
        rates.fx_rate_date,
        rates.fx_source as rate_source,
        core.to_reporting(
            judged.balance_amount,
            judged.unit_code,
            judged.reporting_unit_code,
            prices.price_amount,
            prices.price_unit_code,
            rates.eur_rate,
            rates.reporting_eur_rate
        ) as reporting_balance_amount,
        core.to_reporting(
            judged.burn_28d_amount,
            judged.unit_code,
            judged.reporting_unit_code,
            prices.price_amount,
            prices.price_unit_code,
            rates.eur_rate,
            rates.reporting_eur_rate
        ) as reporting_burn_28d_amount
    from judged
    left join core.credit_prices as prices
        on
            judged.account_id = prices.account_id
            and judged.unit_code like '%-%'
            and judged.read_date >= prices.from_date
            and (prices.to_date is null or judged.read_date <= prices.to_date)
    left join core.conversion_rates as rates
        on
            coalesce(prices.price_unit_code, judged.unit_code) = rates.unit_code
            and judged.read_date = rates.conversion_date
),

worded as (
    select
        *,
        cast(cast(balance_amount as decimal(38, 2)) as varchar) || ' ' || unit_code as balance_words,
        cast(cast(burn_28d_amount as decimal(38, 2)) as varchar) || ' ' || unit_code || ' a day' as burn_words,
        case when burn_days = 1 then '1 day' else cast(cast(burn_days as bigint) as varchar) || ' days' end
            as history_words,
        case
            when age_seconds < 7200 then cast(cast(round(age_seconds / 60) as bigint) as varchar) || ' minutes'
            when age_seconds < 172800 then cast(cast(round(age_seconds / 3600) as bigint) as varchar) || ' hours'
            else cast(cast(round(age_seconds / 86400) as bigint) as varchar) || ' days'
        end as age_words,
        -- What made it urgent, where the days left alone would not have.
        case
            when severity = 'warning' and balance_amount < alert_below_amount then '; below your own limit'
            when severity = 'warning' and runway_days < alert_below_days
                then '; fewer than your own limit of ' || cast(cast(alert_below_days as bigint) as varchar) || ' days'
            when severity = 'watch' and balance_amount < threshold_amount
                then '; below the threshold that the vendor holds'
            else ''
        end as limit_words,
        -- The chances are told in tens, the way people bet.
        'As likely as not dry by ' || cast(forecast_p50_date as varchar)
        || coalesce(', 1 chance in 10 by ' || cast(runway_p10_date as varchar), '')
        || coalesce(', 9 in 10 by ' || cast(runway_p90_date as varchar), '') as dry_words,
        'Lasts beyond 90 days with a chance of '
        || cast(cast(floor(100 * beyond_horizon_probability) as bigint) as varchar) || ' %'
        || coalesce('; 1 chance in 10 to be dry by ' || cast(runway_p10_date as varchar), '') as lasting_words
    from converted
)

select
    -- ids
    account_id,
    vendor,
    team,

    -- the balance
    balance_amount,
    unit_code,
    observed_at_utc,
    age_seconds,
    reading_state,
    threshold_amount,
    unconfirmed_amount,

    -- how long it lasts
    burn_7d_amount,
    burn_28d_amount,
    coalesce(forecast_history_days, burn_days) as history_days,
    case
        when forecast_method is not null then forecast_method
        when runway_days is not null and burn_days > 0 then 'mean_28d'
        else 'none'
    end as method,
    runway_days,
    runway_p10_date,
    case
        when forecast_method is not null and balance_amount > 0 then forecast_p50_date
        when runway_days is not null then cast(read_date + cast(floor(runway_days) as integer) as date)
    end as runway_p50_date,
    runway_p90_date,
    depleted_7d_probability,
    depleted_30d_probability,

    -- how urgent it is
    severity,
    topup_amount,
    topup_gross_amount,
    order_by_date,
    topup_advice,
    case
        when reading_state = 'unknown' and outcome is null then 'Never asked yet.'
        when reading_state = 'unknown' and outcome = 'ok' then 'The balance could not be read; see staging.rejects.'
        when reading_state = 'unknown' then 'No good reading yet; the newest request ended in ' || outcome || '.'
        when reading_state = 'stale' and attempt_fetch_id > fetch_id
            then
                'The newest request gave no balance ('
                || case when outcome = 'ok' then 'unreadable' else outcome end
                || '); the last good one, ' || balance_words || ', is ' || age_words || ' old.'
        when
            reading_state = 'stale'
            then 'Not asked for ' || age_words || '; the last balance was ' || balance_words || '.'
        when balance_amount <= 0 then 'Nothing is left: the balance is ' || balance_words || '.'
        when not is_known and balance_amount < alert_below_amount
            then
                'Below your limit of '
                || cast(cast(alert_below_amount as decimal(38, 2)) as varchar)
                || ' '
                || unit_code
                || '; no complete day of spend is known yet.'
        when not is_known and reading_count = 1
            then 'One reading and no history: days left are unknown until spend has been seen for a day.'
        when not is_known then 'No complete day of spend is known yet, so days left are unknown.'
        when
            forecast_method is not null
            and (forecast_p50_date is not null or runway_p10_date is not null or burn_28d_amount > 0)
            then
                coalesce(dry_words, lasting_words)
                || coalesce('; ' || burn_words || ', the mean of ' || history_words, '')
                || case when evidence_level = 'balance' then ' (a lower bound: only balances are known)' else '' end
                || limit_words || '.'
        when burn_28d_amount <= 0
            then 'No spend in the last ' || history_words || ': no date to run dry' || limit_words || '.'
        when is_beyond then 'At ' || burn_words || ' it lasts more than ten years' || limit_words || '.'
        else
            cast(cast(round(runway_days, 1) as decimal(18, 1)) as varchar) || ' days left at ' || burn_words
            || ', the mean of ' || history_words
            || case when evidence_level = 'balance' then ' (a lower bound: only balances are known)' else '' end
            || limit_words || '.'
    end as reason,
    evidence_level,
    fetch_id,

    -- the same in the reporting currency, at the rate of the reading's day
    reporting_balance_amount,
    reporting_burn_28d_amount,
    reporting_unit_code,
    case when reporting_balance_amount is not null then fx_rate_date end as fx_rate_date,
    core.source_of(
        reporting_balance_amount, unit_code, reporting_unit_code, price_unit_code, rate_source
    ) as fx_source
from worded
