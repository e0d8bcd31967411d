-- A rate applies until the next is published, and for at most `fx.oldest_days` of accounts.toml; no rate of a later day
-- is ever used. Units are converted through the euro, with two rates of the same day. A currency that the euro replaced
-- is from that day on an amount of euros at a fixed rate.
with

units as (
    select unit_code from core.account_units
    union distinct
    -- An entry may be in another currency than its account.
    select unit_code from core.ledger_entries
    union distinct
    select price_unit_code as unit_code from core.credit_prices
    union distinct
    select budget_unit_code as unit_code from staging.budgets
    where budget_unit_code is not null
),

-- All currencies are quoted against the euro.
quoted as (
    select
        rate_date,
        unit_code,
        eur_rate,
        fx_source
    from core.fx_rates
    union all
    select
        rate_date,
        'EUR' as unit_code,
        cast(1 as decimal(18, 9)) as eur_rate,
        min(fx_source) as fx_source
    from core.fx_rates
    group by rate_date
),

-- The currency in which a unit is quoted, by time.
spans as (
    select
        units.unit_code,
        units.unit_code as quoted_code,
        cast(null as decimal(18, 9)) as fixed_eur_rate,
        cast('1970-01-01' as date) as first_date,
        cast(core.open_end(fixed_rates.from_date) - interval 1 day as date) as last_date
    from units
    left join core.fixed_rates as fixed_rates on units.unit_code = fixed_rates.unit_code
    union all
    select
        units.unit_code,
        'EUR' as quoted_code,
        fixed_rates.eur_rate as fixed_eur_rate,
        fixed_rates.from_date as first_date,
        core.open_end(cast(null as date)) as last_date
    from units
    inner join core.fixed_rates as fixed_rates on units.unit_code = fixed_rates.unit_code
),

-- The same of the reporting currency, with what the build knows.
reporting as (
    select
        build.reporting_unit_code as unit_code,
        build.reporting_unit_code as quoted_code,
        cast(null as decimal(18, 9)) as fixed_eur_rate,
        cast('1970-01-01' as date) as first_date,
        cast(core.open_end(fixed_rates.from_date) - interval 1 day as date) as last_date,
        cast(build.fx_oldest_days as integer) as oldest_days,
        cast(build.as_of_utc at time zone 'UTC' as date) as now_date
    from staging.build as build
    left join core.fixed_rates as fixed_rates on build.reporting_unit_code = fixed_rates.unit_code
    union all
    select
        build.reporting_unit_code as unit_code,
        'EUR' as quoted_code,
        fixed_rates.eur_rate as fixed_eur_rate,
        fixed_rates.from_date as first_date,
        core.open_end(cast(null as date)) as last_date,
        cast(build.fx_oldest_days as integer) as oldest_days,
        cast(build.as_of_utc at time zone 'UTC' as date) as now_date
    from staging.build as build
    inner join core.fixed_rates as fixed_rates on build.reporting_unit_code = fixed_rates.unit_code
),

pairs as (
    select
        spans.unit_code,
        spans.quoted_code,
        spans.fixed_eur_rate,
        reporting.unit_code as reporting_unit_code,
        reporting.quoted_code as reporting_quoted_code,
        reporting.fixed_eur_rate as reporting_fixed_eur_rate,
        greatest(spans.first_date, reporting.first_date) as first_date,
        least(spans.last_date, reporting.last_date) as last_date,
        reporting.oldest_days,
        reporting.now_date
    from spans
    inner join reporting on spans.unit_code <> reporting.unit_code
    where greatest(spans.first_date, reporting.first_date) <= least(spans.last_date, reporting.last_date)
),

rated as (
    select
        pairs.unit_code,
        pairs.reporting_unit_code,
        pairs.first_date,
        pairs.last_date,
        coalesce(pairs.fixed_eur_rate, quoted.eur_rate) as eur_rate,
        coalesce(pairs.reporting_fixed_eur_rate, reporting.eur_rate) as reporting_eur_rate,
        quoted.rate_date,
        cast(quoted.rate_date + pairs.oldest_days as date) as oldest_date,
        lead(quoted.rate_date) over (
            partition by pairs.unit_code, pairs.first_date order by quoted.rate_date
        ) as next_rate_date,
        case
            when pairs.fixed_eur_rate is null and pairs.reporting_fixed_eur_rate is null then quoted.fx_source
            else 'fixed+' || quoted.fx_source
        end as fx_source
    from pairs
    inner join quoted on pairs.quoted_code = quoted.unit_code
    inner join quoted as reporting
        on pairs.reporting_quoted_code = reporting.unit_code and quoted.rate_date = reporting.rate_date
    where pairs.quoted_code <> pairs.reporting_quoted_code
),

dated as (
    select
        rated.*,
        cast(calendar.day as date) as conversion_date
    from rated
    cross join lateral (
        select
            unnest(
                generate_series(
                    cast(greatest(rated.rate_date, rated.first_date) as timestamp),
                    cast(
                        least(rated.oldest_date, rated.next_rate_date - interval 1 day, rated.last_date) as timestamp
                    ),
                    interval 1 day
                )
            ) as day
    ) as calendar
),

-- Both are euros at a fixed rate, so no day's rate is needed.
fixed as (
    select
        pairs.*,
        cast(calendar.day as date) as conversion_date
    from pairs
    cross join
        lateral (
            select
                unnest(
                    generate_series(
                        cast(pairs.first_date as timestamp),
                        cast(least(pairs.last_date, pairs.now_date) as timestamp),
                        interval 1 day
                    )
                ) as day
        ) as calendar
    where pairs.quoted_code = pairs.reporting_quoted_code
)

select
    -- ids
    unit_code,
    conversion_date,

    -- the rates
    eur_rate,
    reporting_unit_code,
    reporting_eur_rate,
    rate_date as fx_rate_date,
    conversion_date > cast(rate_date + interval 7 day as date) as has_old_rate,
    fx_source
from dated
union all
select
    unit_code,
    conversion_date,
    coalesce(fixed_eur_rate, cast(1 as decimal(18, 9))) as eur_rate,
    reporting_unit_code,
    coalesce(reporting_fixed_eur_rate, cast(1 as decimal(18, 9))) as reporting_eur_rate,
    null as fx_rate_date,
    false as has_old_rate,
    'fixed' as fx_source
from fixed
