-- A total over a number, to nine decimals, halves away from zero. A division of decimals would be one of floats. The
-- total has less than 20 digits before the point.
create or replace macro core.mean_of(total_amount, number) as
cast(
    case when total_amount < 0 then -1 else 1 end
    * cast((2 * core.billionths(abs(total_amount)) + number) // nullif(2 * number, 0) as decimal(29, 0))
    * cast(0.000000001 as decimal(9, 9)) as decimal(38, 9)
)
