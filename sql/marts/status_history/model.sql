-- What was published is landed afterwards, and read from there ever since. Only the row of a day that has no build yet
-- is computed: this build publishes it.
with

published as (
    select statuses.*
    from staging.published_statuses as statuses
    cross join staging.build as build
    -- A run whose clock was ahead may have published days that are still to come.
    where statuses.as_of_utc <= build.as_of_utc
),

current_statuses as (
    select
        status.*,
        core.utc_date(build.as_of_utc) as status_date,
        build.as_of_utc
    from marts.account_status as status
    cross join staging.build as build
)

select
    -- ids
    account_id,
    status_date,
    as_of_utc,

    -- how urgent it was
    severity,
    reading_state,
    reason_code,
    stale_code,

    -- the balance
    balance_amount,
    unit_code,
    observed_at_utc,

    -- how long it lasted
    runway_days,
    runway_p10_date,
    runway_p50_date,
    runway_p90_date,
    depleted_7d_probability,
    depleted_30d_probability,

    -- the balance in the reporting currency
    reporting_balance_amount,
    reporting_unit_code
from published
union all
select
    current_statuses.account_id,
    current_statuses.status_date,
    current_statuses.as_of_utc,
    current_statuses.severity,
    current_statuses.reading_state,
    current_statuses.reason_code,
    current_statuses.stale_code,
    current_statuses.balance_amount,
    current_statuses.unit_code,
    current_statuses.observed_at_utc,
    current_statuses.runway_days,
    current_statuses.runway_p10_date,
    current_statuses.runway_p50_date,
    current_statuses.runway_p90_date,
    current_statuses.depleted_7d_probability,
    current_statuses.depleted_30d_probability,
    current_statuses.reporting_balance_amount,
    current_statuses.reporting_unit_code
from current_statuses
left join published
    on
        current_statuses.account_id = published.account_id
        and current_statuses.status_date = published.status_date
where published.account_id is null
