select
    claims.account_id,
    claims.claim,
    claims.observed_at_utc,
    claims.claim_amount,
    coalesce(claims.unit_code, units.unit_code) as unit_code,
    claims.covers_from_date,
    claims.covers_to_date,
    claims.fetch_id
from staging.vendor_claims as claims
inner join core.account_units as units
    on
        claims.account_id = units.account_id
        and claims.observed_at_utc >= units.from_at_utc
        and (units.to_at_utc is null or claims.observed_at_utc < units.to_at_utc)
