-- An age in words, as in `90 minutes`; NULL for NULL.
create or replace macro core.age_words(seconds) as
case
    when seconds < 7200 then cast(cast(round(seconds / 60) as bigint) as varchar) || ' minutes'
    when seconds < 172800 then cast(cast(round(seconds / 3600) as bigint) as varchar) || ' hours'
    else cast(cast(round(seconds / 86400) as bigint) as varchar) || ' days'
end
