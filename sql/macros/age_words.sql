-- An age in its largest whole unit, as `pipeline/support/wording.py` writes it: `119 seconds`, `23 hours`, `1 day`.
create or replace macro core.age_words(seconds) as
case
    when seconds >= 172800 then format('{:,} days', cast(floor(seconds / 86400) as bigint))
    when seconds >= 86400 then '1 day'
    when seconds >= 7200 then format('{} hours', cast(floor(seconds / 3600) as bigint))
    when seconds >= 120 then format('{} minutes', cast(floor(seconds / 60) as bigint))
    when seconds >= 1 and seconds < 2 then '1 second'
    else format('{} seconds', cast(floor(seconds) as bigint))
end
