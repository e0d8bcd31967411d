with

counted as (
    select
        account_id,
        endpoint,
        max(fetched_at_utc) as last_attempt_at_utc,
        max(case when outcome = 'ok' then fetched_at_utc end) as last_observed_at_utc,
        count(*) as fetch_count,
        count(case when outcome <> 'ok' then 1 end) as failed_fetch_count
    from staging.fetches
    where account_id <> '*'
    group by account_id, endpoint
),

-- Ranking only rows of the newest instant avoids sorting every request ever made.
ranked as (
    select
        fetches.*,
        row_number() over (partition by fetches.account_id, fetches.endpoint order by fetches.fetch_id desc) as place
    from staging.fetches as fetches
    inner join counted
        on
            fetches.account_id = counted.account_id
            and fetches.endpoint = counted.endpoint
            and fetches.fetched_at_utc = counted.last_attempt_at_utc
)

select
    -- ids
    ranked.account_id,
    ranked.vendor,
    ranked.endpoint,

    -- times
    ranked.fetched_at_utc as last_attempt_at_utc,
    counted.last_observed_at_utc,
    -- greatest() ignores NULL, and an endpoint that was never observed is not new.
    case
        when counted.last_observed_at_utc is not null
            then cast(greatest(date_diff('second', counted.last_observed_at_utc, build.as_of_utc), 0) as double)
    end as age_seconds,

    -- result
    ranked.outcome,
    ranked.status_code,
    ranked.reason,
    counted.fetch_count,
    counted.failed_fetch_count
from ranked
inner join counted on ranked.account_id = counted.account_id and ranked.endpoint = counted.endpoint
cross join staging.build as build
where ranked.place = 1
