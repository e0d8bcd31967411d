-- What the unexplained amount of several intervals in one unit looks like: a value of the column unexplained_class.
-- `between_amount` is what the balance moved by between them, while it was in another unit.
create or replace macro core.span_class(
    unexplained_amount, between_amount, class_count, unexplained_class
) as
case
    when unexplained_amount + between_amount = 0 then null
    when between_amount <> 0 and class_count = 0 then 'unit_change'
    when between_amount = 0 and class_count = 1 then unexplained_class
    else 'unknown'
end
