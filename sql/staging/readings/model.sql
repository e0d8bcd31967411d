-- Each side of a comparison uses columns of one side of the join, so that DuckDB can hash it.
select
    balances.account_id,
    balances.observed_at_utc,
    balances.balance_amount,
    balances.unit_code,
    balances.threshold_amount,
    balances.limit_amount,
    balances.unconfirmed_amount,
    balances.resets_at_utc,
    balances.quota_amount,
    balances.is_cut_off,
    balances.effective_at_utc,
    balances.fetch_id
from staging.balances as balances
inner join staging.accounts as accounts on balances.account_id = accounts.account_id
left join (
    select
        others.account_id,
        others.observed_at_utc,
        coalesce(nullif(others.vendor, owners.vendor), '') as foreign_vendor
    from staging.balances as others
    inner join staging.accounts as owners on others.account_id = owners.account_id
    -- Nearly all accounts have the readings of one vendor, and none of them needs to be compared.
    inner join (
        select account_id
        from staging.balances
        group by account_id
        having min(vendor) <> max(vendor)
    ) as shared on others.account_id = shared.account_id
) as other
    on
        balances.account_id = other.account_id
        and balances.observed_at_utc = other.observed_at_utc
        and nullif(balances.vendor, accounts.vendor) > other.foreign_vendor
where other.account_id is null
