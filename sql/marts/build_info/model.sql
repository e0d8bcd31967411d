select
    'as_of_utc' as item,
    strftime(as_of_utc at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ') as value
from staging.build
union all
select
    'run_id' as item,
    run_id as value
from staging.build
union all
select
    'version_id' as item,
    version_id as value
from staging.build
union all
select
    'schema_version' as item,
    cast(schema_version as varchar) as value
from staging.layout
union all
select
    'reporting_unit_code' as item,
    reporting_unit_code as value
from staging.build
union all
select
    'built_at_utc' as item,
    strftime(current_timestamp at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ') as value
union all
select
    'newest_fetch_id' as item,
    max(fetch_id) as value
from staging.fetches
union all
select
    'newest_answer_at_utc' as item,
    strftime(max(fetched_at_utc) at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ') as value
from staging.fetches
where account_id <> '*'
union all
select
    'fetch_count' as item,
    cast(count(*) as varchar) as value
from staging.fetches
where account_id <> '*'
