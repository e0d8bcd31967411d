-- Whether a rise between two readings is the quota's: the stated time of its reset passed or moved, or its size
-- changed.
create or replace macro core.may_reset(
    closed_at_utc, opening_resets_at_utc, closing_resets_at_utc, opening_quota_amount, closing_quota_amount
) as
opening_resets_at_utc is not null
and coalesce(
    opening_resets_at_utc <= closed_at_utc
    or closing_resets_at_utc > opening_resets_at_utc
    or closing_quota_amount <> opening_quota_amount,
    false
)
