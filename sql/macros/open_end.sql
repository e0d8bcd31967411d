-- The last day for which something holds that may hold on. Joins compare with it: with `to_date is null or`, a left
-- join would compare each row of one side with each row of the other.
create or replace macro core.open_end(to_date) as
coalesce(to_date, cast('9999-12-31' as date))
