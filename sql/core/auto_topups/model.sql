select
    auto_topups.account_id,
    auto_topups.is_on,
    auto_topups.auto_topup_status,
    auto_topups.threshold_amount,
    auto_topups.topup_amount,
    coalesce(auto_topups.unit_code, units.unit_code) as unit_code,
    auto_topups.observed_at_utc,
    auto_topups.fetch_id
from staging.auto_topups as auto_topups
inner join core.account_units as units
    on
        auto_topups.account_id = units.account_id
        and auto_topups.observed_at_utc >= units.from_at_utc
        and (units.to_at_utc is null or auto_topups.observed_at_utc < units.to_at_utc)
