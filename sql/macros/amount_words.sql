-- An amount for people, as `pipeline/support/wording.py` writes it: `1,234.50 EUR`. Halves are rounded away from zero;
-- an amount that would look like zero, and is not, keeps its digits.
create or replace macro core.amount_words(amount, unit_code) as
case
    when amount <> 0 and abs(amount) < 0.005 then rtrim(cast(cast(amount as decimal(38, 9)) as varchar), '0')
    else
        case when amount < 0 then '-' else '' end
        || format('{:,}', cast(split_part(cast(cast(abs(amount) as decimal(38, 2)) as varchar), '.', 1) as bigint))
        || right(cast(cast(abs(amount) as decimal(38, 2)) as varchar), 3)
end || ' ' || unit_code
