-- How urgent an account is, by limits that a person can check. Where there is a forecast: critical when it is as likely
-- as not to run dry within 7 days, a warning within 14 days or with 1 chance in 10 within 7, to be watched within 30
-- days or with 1 chance in 10 within 14. Without one, the days left at the mean of 28 days are held to the same limits.
-- An account is also critical while its vendor states that it is cut off. Days are counted from the build's clock,
-- however old the reading is: a failed request does not make an account less urgent, and reading_state comes beside the
-- severity. Unknown is only that of which nothing is known: no good reading ever, or neither a forecast nor a complete
-- day of spend, and no limit crossed. A quota only has to last until its next reset: without a date to run dry before
-- it, it has no days left. After a reset that no reading has followed, its balance is unknown, whatever it was before.
-- pipeline/models/status_at.py applies the same rules to the time between the build and the moment of reading.
with

limits as (
    select
        7.0 as critical_days,
        14.0 as warning_days,
        30.0 as watch_days,
        90.0 as horizon_days,
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
        read.reading_count,
        coalesce(
            snapshots.resets_at_utc > snapshots.observed_at_utc and snapshots.resets_at_utc <= build.as_of_utc, false
        ) as is_reset_since,
        -- A key of the join below: a forecast of the balance before a reset says nothing of the one after it.
        case
            when
                snapshots.resets_at_utc is null
                or snapshots.resets_at_utc <= snapshots.observed_at_utc
                or snapshots.resets_at_utc > build.as_of_utc
                then snapshots.observed_at_utc
        end as forecast_at_utc
    from core.balance_snapshots as snapshots
    inner join read
        on snapshots.account_id = read.account_id and snapshots.observed_at_utc = read.observed_at_utc
    cross join staging.build as build
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

-- Judged by what its own answer yielded: a row that was corrected to an earlier day is older than one of an answer
-- before, and was read all the same.
attempts as (
    select
        fetches.account_id,
        fetches.outcome,
        fetches.outcome = 'ok' and coalesce(loads.accepted_rows, 0) > 0 as is_read,
        coalesce(loads.received_rows, 0) = 0 as is_empty,
        loads.refused_newest_row
    from staging.fetches as fetches
    inner join attempted on fetches.account_id = attempted.account_id and fetches.fetch_id = attempted.fetch_id
    left join staging.loads as loads on fetches.fetch_id = loads.fetch_id and loads.record_kind = 'balances'
),

-- Spend in the unit that the balance is in now; what cannot be summed without an overflow counts as not known.
spent as (
    select
        spend.account_id,
        spend.spend_date,
        try_cast(spend.spend_amount as decimal(26, 9)) as spend_amount
    from core.spend_daily as spend
    inner join core.accounts as accounts
        on spend.account_id = accounts.account_id and spend.unit_code = accounts.unit_code
    where spend.is_complete
),

last_days as (
    select
        account_id,
        max(spend_date) as spend_date
    from spent
    group by account_id
),

summed as (
    select
        spent.account_id,
        sum(case when spent.spend_date > last_days.spend_date - 7 then spent.spend_amount end) as sum_7d_amount,
        count(case when spent.spend_date > last_days.spend_date - 7 then 1 end) as day_7d_count,
        sum(spent.spend_amount) as sum_28d_amount,
        count(*) as day_28d_count,
        count(*) = count(spent.spend_amount) as is_summed
    from spent
    inner join last_days on spent.account_id = last_days.account_id
    where spent.spend_date > last_days.spend_date - 28
    group by spent.account_id
),

burn as (
    select
        account_id,
        case when is_summed then core.mean_of(sum_7d_amount, day_7d_count) end as burn_7d_amount,
        case when is_summed then core.mean_of(sum_28d_amount, day_28d_count) end as burn_28d_amount,
        day_28d_count as day_count
    from summed
),

joined as (
    select
        accounts.*,
        newest.balance_amount,
        newest.observed_at_utc,
        core.utc_date(newest.observed_at_utc) as read_date,
        core.utc_date(build.as_of_utc) as now_date,
        coalesce(newest.reading_count, 0) as reading_count,
        newest.threshold_amount,
        newest.unconfirmed_amount,
        newest.resets_at_utc,
        newest.quota_amount,
        coalesce(newest.is_reset_since, false) as is_reset_since,
        coalesce(newest.resets_at_utc <= newest.observed_at_utc, false) as is_reset_overdue,
        -- The forecast knows the reset after one that is overdue.
        coalesce(forecast.resets_at_utc, case when newest.resets_at_utc > build.as_of_utc then newest.resets_at_utc end)
            as next_resets_at_utc,
        build.as_of_utc,
        newest.is_cut_off,
        newest.fetch_id,
        -- greatest() passes over a NULL, and what was never observed is not new.
        case
            when newest.observed_at_utc is not null
                then cast(greatest(date_diff('second', newest.observed_at_utc, build.as_of_utc), 0) as double)
        end as age_seconds,
        attempts.outcome as newest_outcome,
        coalesce(attempts.is_read, true) as is_read,
        coalesce(attempts.is_empty, false) as is_empty,
        attempts.refused_newest_row,
        burn.burn_7d_amount,
        burn.burn_28d_amount,
        coalesce(burn.day_count, 0) as burn_day_count,
        forecast.method as forecast_method,
        forecast.history_days as forecast_history_days,
        forecast.auto_topup_model,
        forecast.runway_p10_date,
        forecast.runway_p50_date as forecast_p50_date,
        forecast.runway_p90_date,
        forecast.runway_p50_without_topups_date,
        forecast.depleted_7d_probability,
        forecast.depleted_30d_probability,
        forecast.beyond_horizon_probability,
        forecast.depleted_before_reset_probability,
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
        on accounts.account_id = forecast.account_id and newest.forecast_at_utc = forecast.observed_at_utc
    left join forecasts.current_topup_plan as plan on forecast.account_id = plan.account_id
    where accounts.is_configured
),

states as (
    select
        *,
        case
            when balance_amount is null then 'unknown'
            when not is_read or refused_newest_row is not null or age_seconds > stale_after_seconds or is_reset_since
                then 'stale'
            else 'fresh'
        end as reading_state,
        age_seconds / 86400 as age_days,
        coalesce(auto_topup_model = 'modelled', false) as is_topped_up,
        case
            when balance_amount > 0 and burn_28d_amount > 0 and not is_reset_since
                then cast(balance_amount as double) / cast(burn_28d_amount as double)
        end as plain_days,
        case
            when burn_28d_amount > 0 then cast(burn_28d_amount as double)
            when forecast_p50_date > read_date
                then cast(balance_amount as double) / cast(forecast_p50_date - read_date as double)
            else 0.0
        end as expected_a_day
    from joined
),

aged as (
    select
        states.*,
        states.burn_day_count > 0 or states.forecast_method is not null as is_known,
        states.reading_state = 'stale' or states.age_seconds >= 86400 as is_aged,
        case
            when states.is_reset_since then null
            when states.balance_amount <= 0 then 0.0
            when states.forecast_p50_date is not null
                then greatest(cast(states.forecast_p50_date - states.now_date as double), 0.0)
            when
                states.next_resets_at_utc is not null
                and (
                    states.forecast_method is not null
                    or states.plain_days - states.age_days
                    >= date_diff('second', states.as_of_utc, states.next_resets_at_utc) / 86400
                )
                then null
            -- More likely than not it lasts beyond the horizon of 90 days: the mean says how long only where it agrees.
            when states.forecast_method is not null and not coalesce(states.plain_days > limits.horizon_days, false)
                then null
            else greatest(states.plain_days - states.age_days, case when states.plain_days is not null then 0.0 end)
        end as full_runway_days,
        case
            when not states.is_topped_up or states.balance_amount is null then null
            when states.balance_amount <= 0 then 0.0
            when states.runway_p50_without_topups_date is not null
                then greatest(cast(states.runway_p50_without_topups_date - states.now_date as double), 0.0)
            when states.plain_days > limits.horizon_days then greatest(states.plain_days - states.age_days, 0.0)
        end as full_without_topups_days,
        cast(states.runway_p10_date - states.now_date as double) as cautious_days
    from states
    cross join limits
),

runways as (
    select
        aged.*,
        case
            when aged.is_reset_since then null
            when
                aged.balance_amount <= 0
                or not aged.is_aged
                -- Its vendor does not let it fall, and nobody knows when it was topped up.
                or aged.is_topped_up
                then aged.balance_amount
            else
                cast(
                    greatest(
                        aged.balance_amount
                        - coalesce(
                            try_cast(aged.expected_a_day * aged.age_days as decimal(38, 9)), aged.balance_amount
                        ),
                        cast(0 as decimal(38, 9))
                    ) as decimal(38, 9)
                )
        end as expected_balance_amount,
        case when aged.full_runway_days <= limits.longest_days then aged.full_runway_days end as runway_days,
        case
            when aged.full_without_topups_days <= limits.longest_days then aged.full_without_topups_days
        end as runway_without_topups_days,
        coalesce(aged.full_runway_days > limits.longest_days, false) as is_beyond
    from aged
    cross join limits
),

judged as (
    select
        runways.*,
        case
            when runways.balance_amount is null or runways.is_reset_since then 'unknown'
            when
                runways.balance_amount <= 0 or runways.runway_days <= limits.critical_days or runways.is_cut_off
                then 'critical'
            when
                runways.runway_days <= limits.warning_days
                or runways.cautious_days <= limits.critical_days
                or runways.runway_days < runways.alert_below_days
                or runways.expected_balance_amount < runways.alert_below_amount
                then 'warning'
            when
                runways.runway_days <= limits.watch_days
                or runways.cautious_days <= limits.warning_days
                or runways.expected_balance_amount < runways.threshold_amount
                then 'watch'
            when not runways.is_known then 'unknown'
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
        rates.has_old_rate,
        rates.fx_source as rate_source,
        core.to_reporting(
            judged.balance_amount, judged.unit_code, judged.reporting_unit_code,
            prices.price_amount, prices.price_unit_code, rates.eur_rate, rates.reporting_eur_rate
        ) as reporting_balance_amount,
        core.to_reporting(
            judged.burn_28d_amount, judged.unit_code, judged.reporting_unit_code,
            prices.price_amount, prices.price_unit_code, rates.eur_rate, rates.reporting_eur_rate
        ) as reporting_burn_28d_amount
    from judged
    left join core.credit_prices as prices
        on
            judged.account_id = prices.account_id
            and judged.unit_code = prices.unit_code
            and judged.read_date >= prices.from_date
            and judged.read_date <= core.open_end(prices.to_date)
    left join core.conversion_rates as rates
        on
            coalesce(prices.price_unit_code, judged.unit_code) = rates.unit_code
            and judged.read_date = rates.conversion_date
),

coded as (
    select
        *,
        case
            when reading_state <> 'stale' then null
            when not is_read and newest_outcome <> 'ok' then 'request_failed'
            when not is_read and is_empty then 'empty_answer'
            when not is_read then 'unreadable_answer'
            when refused_newest_row is not null then 'refused_row'
            when is_reset_since then 'reset_passed'
            else 'too_old'
        end as stale_code,
        case
            when balance_amount is null and newest_outcome is null then 'never_requested'
            when balance_amount is null and newest_outcome <> 'ok' then 'request_failed'
            when balance_amount is null and is_empty then 'empty_answer'
            when balance_amount is null then 'unreadable_answer'
            when is_reset_since then 'reset_passed'
            when balance_amount <= 0 then 'depleted'
            when not is_known and reading_count = 1 then 'one_reading'
            when not is_known then 'no_history'
            when forecast_method is not null and forecast_p50_date is not null then 'dry_by_forecast'
            when
                next_resets_at_utc is not null
                and runway_days is null
                and (runway_p10_date is not null or coalesce(burn_28d_amount > 0, forecast_method is not null))
                then 'lasts_until_reset'
            when
                forecast_method is not null
                and next_resets_at_utc is null
                and (runway_p10_date is not null or is_topped_up or coalesce(burn_28d_amount > 0, true))
                then 'lasts_by_forecast'
            when burn_28d_amount <= 0 then 'no_spend'
            when is_beyond then 'over_ten_years'
            when runway_days is not null then 'days_at_mean'
            else 'unknown'
        end as reason_code,
        -- The limit that made it urgent, where the days left alone would not have; the vendor's own word precedes all.
        case
            when is_cut_off then 'vendor_cut_off'
            when balance_amount <= 0 then null
            when severity = 'warning' and balance_amount < alert_below_amount then 'own_amount'
            when severity = 'warning' and expected_balance_amount < alert_below_amount then 'own_amount_expected'
            when severity = 'warning' and runway_days < alert_below_days then 'own_days'
            when severity = 'watch' and balance_amount < threshold_amount then 'vendor_threshold'
            when severity = 'watch' and expected_balance_amount < threshold_amount then 'vendor_threshold_expected'
        end as limit_code
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
    stale_after_seconds,
    expected_balance_amount,
    threshold_amount,
    unconfirmed_amount,
    resets_at_utc,
    quota_amount,
    is_cut_off,

    -- how long it lasts
    burn_7d_amount,
    burn_28d_amount,
    burn_day_count,
    coalesce(forecast_history_days, burn_day_count) as history_days,
    case
        when forecast_method is not null then forecast_method
        when runway_days is not null and burn_day_count > 0 then 'mean_28d'
        else 'none'
    end as method,
    auto_topup_model,
    runway_days,
    runway_without_topups_days,
    runway_p10_date,
    case
        when forecast_method is not null and balance_amount > 0 then forecast_p50_date
        when runway_days is not null
            then cast(read_date + cast(floor(coalesce(plain_days, 0.0)) as integer) as date)
    end as runway_p50_date,
    runway_p90_date,
    depleted_7d_probability,
    depleted_30d_probability,
    beyond_horizon_probability,
    depleted_before_reset_probability,

    -- how urgent it is
    severity,
    alert_below_days,
    alert_below_amount,
    topup_amount,
    topup_gross_amount,
    order_by_date,
    topup_advice,
    reason_code,
    stale_code,
    limit_code,
    newest_outcome,
    refused_newest_row,
    core.status_reason(
        reason_code, stale_code, limit_code, newest_outcome, refused_newest_row, balance_amount, unit_code, age_seconds,
        runway_days, runway_without_topups_days, is_topped_up, runway_p10_date, forecast_p50_date, runway_p90_date,
        beyond_horizon_probability, read_date, now_date, burn_28d_amount, burn_day_count, evidence_level,
        alert_below_amount, alert_below_days, threshold_amount, resets_at_utc, next_resets_at_utc, is_reset_overdue,
        depleted_before_reset_probability
    ) as reason,
    evidence_level,
    fetch_id,

    -- the same in the reporting currency, at the rate of the reading's day
    reporting_balance_amount,
    reporting_burn_28d_amount,
    reporting_unit_code,
    case when reporting_balance_amount is not null then fx_rate_date end as fx_rate_date,
    reporting_balance_amount is not null and coalesce(has_old_rate, false) as has_old_rate,
    core.source_of(
        reporting_balance_amount, unit_code, reporting_unit_code, price_unit_code, rate_source
    ) as fx_source
from coded
