-- A decimal as a whole number of billionths, exact.
create or replace macro core.billionths(value) as
cast(cast(value as decimal(28, 9)) * 1000000000 as hugeint)
