-- Whether a quota was reset between two readings: the time that the first one states passed by the second one, which
-- states a later time.
create or replace macro core.passes_reset(
    opened_at_utc, closed_at_utc, opening_resets_at_utc, closing_resets_at_utc
) as
coalesce(
    opening_resets_at_utc > opened_at_utc
    and opening_resets_at_utc <= closed_at_utc
    and closing_resets_at_utc > opening_resets_at_utc,
    false
)
