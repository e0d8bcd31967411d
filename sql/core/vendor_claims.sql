select
    claims.account_id,
    claims.claim,
    claims.observed_at_utc,
    claims.claim_amount,
    coalesce(claims.unit_code, accounts.unit_code) as unit_code,
    claims.covers_from_date,
    claims.covers_to_date,
    claims.fetch_id
from staging.vendor_claims as claims
inner join core.accounts as accounts on claims.account_id = accounts.account_id
