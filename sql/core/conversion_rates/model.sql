-- A rate applies until the next is published, and for at most 7 days; no rate of a later day is ever used. Units are
-- converted through the euro, with two rates of the same day.
with

units as (
    select unit_code from core.account_units
    union distinct
    -- An entry may be in another currency than its account.
    select unit_code from core.ledger_entries
    union distinct
    select price_unit_code as unit_code from core.credit_prices
),

-- All other currencies are quoted against the euro.
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

pairs as (
    select
        quoted.unit_code,
        quoted.rate_date,
        lead(quoted.rate_date) over (partition by quoted.unit_code order by quoted.rate_date) as next_rate_date,
        quoted.eur_rate,
        reporting.unit_code as reporting_unit_code,
        reporting.eur_rate as reporting_eur_rate,
        quoted.fx_source
    from quoted
    inner join units on quoted.unit_code = units.unit_code
    cross join staging.build as build
    inner join quoted as reporting
        on build.reporting_unit_code = reporting.unit_code and quoted.rate_date = reporting.rate_date
    where quoted.unit_code <> build.reporting_unit_code
)

select
    -- ids
    pairs.unit_code,
    cast(calendar.day as date) as conversion_date,

    -- the rates
    pairs.eur_rate,
    pairs.reporting_unit_code,
    pairs.reporting_eur_rate,
    pairs.rate_date as fx_rate_date,
    pairs.fx_source
from pairs
cross join lateral (
    select
        unnest(
            generate_series(
                cast(pairs.rate_date as timestamp),
                cast(
                    least(pairs.rate_date + interval 7 day, pairs.next_rate_date - interval 1 day) as timestamp
                ),
                interval 1 day
            )
        ) as day
) as calendar
