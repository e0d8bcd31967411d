-- A number of days without a fraction, as `pipeline/support/wording.py` writes it: `1 day`, `1,234 days`.
-- 0.3 / 0.1 is a little below 3.
create or replace macro core.days_words(number) as
case
    when floor(round(number, 6)) = 1 then '1 day'
    else format('{:,} days', cast(floor(round(number, 6)) as bigint))
end
