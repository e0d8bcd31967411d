-- What a balance fell by between two readings, negative for a rise, if nothing but the readings is known. Across a
-- quota's reset it is a lower bound, never negative: what is gone of the full size since the reset, or if that is not
-- known, the fall beyond any change of the size. What fell before the reset is unknown.
create or replace macro core.fallen_amount(
    opened_at_utc,
    closed_at_utc,
    opening_amount,
    closing_amount,
    opening_resets_at_utc,
    closing_resets_at_utc,
    opening_quota_amount,
    closing_quota_amount
) as
case
    when
        core.passes_reset(opened_at_utc, closed_at_utc, opening_resets_at_utc, closing_resets_at_utc)
        and coalesce(closing_quota_amount, opening_quota_amount) is not null
        then greatest(coalesce(closing_quota_amount, opening_quota_amount) - closing_amount, 0)
    when
        core.may_reset(
            closed_at_utc, opening_resets_at_utc, closing_resets_at_utc, opening_quota_amount, closing_quota_amount
        )
        then
            greatest(
                opening_amount - closing_amount + coalesce(closing_quota_amount - opening_quota_amount, 0), 0
            )
    else opening_amount - closing_amount
end
