-- The last day of a period, which may be open (NULL). A left join with `to_date is null or ...` in its condition would
-- compare each row of one side with each row of the other; a comparison with this is part of a hash join.
create or replace macro core.open_end(to_date) as
coalesce(to_date, cast('9999-12-31' as date))
