-- A probability that sample paths gave, as `pipeline/support/wording.py` writes it: `0.4 %`, `42 %`, `over 99.9 %`.
create or replace macro core.chance_words(probability) as
case
    when probability < 0.001 then 'under 0.1 %'
    when probability > 0.999 then 'over 99.9 %'
    when probability < 0.1 or probability > 0.9
        then format('{:g} %', floor(1000 * probability + 0.5) / 10)
    else format('{} %', cast(floor(100 * probability + 0.5) as bigint))
end
