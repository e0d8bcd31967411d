-- An amount of one currency in another, by their rates to the euro: computed on whole numbers and cast back to nine
-- decimals at once, halves away from zero. From ten digits before the point on the product might not fit: NULL.
create or replace macro core.at_rate(amount, eur_rate, reporting_eur_rate) as
cast(
    try_cast(
        case when amount < 0 then -1 else 1 end
        * (
            (
                2 * core.billionths(abs(try_cast(amount as decimal(19, 9))))
                * core.billionths(reporting_eur_rate)
                + core.billionths(eur_rate)
            )
            // nullif(2 * core.billionths(eur_rate), 0)
        ) as decimal(29, 0)
    ) * cast(0.000000001 as decimal(9, 9)) as decimal(38, 9)
)
