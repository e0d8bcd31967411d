-- What left each account for service, by UTC day, for the dirty months. The best evidence is used and no other: ledger
-- before usage before balance deltas, so that nothing is counted twice. Within the days that the evidence covers, a day
-- without a fact is a day without spend; outside them there is no row.
--
-- Each unit is by itself: a day has a row of the unit that the balance was held in, and one of every other unit in
-- which something was spent. Two balances in different units have no difference, so where only balances are known, the
-- days between them have unknown spend in both. So have the days before a quota's reset that no reading has followed.
with

months as (
    select
        dirty_month as first_date,
        cast(dirty_month + interval 1 month as date) as next_first_date
    from staging.dirty_months
    where table_name = 'core.spend_daily'
),

-- From the first instant of the first dirty month to the end of the last.
dirty_range as (
    select
        cast(min(first_date) as timestamp) at time zone 'UTC' as from_utc,
        cast(max(next_first_date) as timestamp) at time zone 'UTC' as before_utc
    from months
),

-- The view is expensive, so it is read once.
evidence as (
    select
        account_id,
        basis,
        first_date,
        through_date
    from staging.evidence
),

days as (
    select
        evidence.account_id,
        evidence.basis,
        evidence.through_date,
        evidence.first_date,
        cast(calendar.day as date) as spend_date
    from evidence
    inner join months on evidence.first_date < months.next_first_date and evidence.through_date >= months.first_date
    cross join lateral (
        select
            unnest(
                generate_series(
                    cast(greatest(evidence.first_date, months.first_date) as timestamp),
                    cast(
                        least(evidence.through_date, cast(months.next_first_date - interval 1 day as date))
                        as timestamp
                    ),
                    interval 1 day
                )
            ) as day
    ) as calendar
),

ledger_spend as (
    select
        entries.account_id,
        core.utc_date(entries.effective_at_utc) as spend_date,
        entries.unit_code,
        -sum(entries.entry_amount) as spend_amount
    from core.ledger_entries as entries
    cross join dirty_range
    where
        entries.effective_at_utc >= dirty_range.from_utc
        and entries.effective_at_utc < dirty_range.before_utc
        and entries.entry_status in ('settled', 'unknown')
        and (
            entries.entry_kind in ('usage', 'renewal', 'tax', 'adjustment')
            -- Money that the vendor gave back for service, not money that it paid out.
            or (entries.entry_kind = 'refund' and entries.entry_amount > 0)
            or (entries.entry_kind = 'other' and entries.entry_amount < 0)
        )
    group by entries.account_id, core.utc_date(entries.effective_at_utc), entries.unit_code
),

usage_spend as (
    select
        usage_days.account_id,
        usage_days.usage_date as spend_date,
        usage_days.unit_code,
        usage_days.credits_amount as spend_amount,
        usage_days.is_partial
    from core.usage_days as usage_days
    inner join months
        on usage_days.usage_date >= months.first_date and usage_days.usage_date < months.next_first_date
),

-- Readings in the dirty range, and one on each side of it, so that every interval that reaches in is whole.
carried as (
    select
        snapshots.account_id,
        max(case when snapshots.observed_at_utc < dirty_range.from_utc then snapshots.observed_at_utc end) as from_utc,
        min(case when snapshots.observed_at_utc >= dirty_range.before_utc then snapshots.observed_at_utc end) as to_utc
    from core.balance_snapshots as snapshots
    cross join dirty_range
    where snapshots.balance_amount is not null
    group by snapshots.account_id
),

readings as (
    select
        snapshots.account_id,
        snapshots.observed_at_utc,
        snapshots.unit_code,
        snapshots.balance_amount,
        snapshots.resets_at_utc,
        snapshots.quota_amount
    from core.balance_snapshots as snapshots
    inner join evidence
        on snapshots.account_id = evidence.account_id and evidence.basis = 'balance'
    inner join carried on snapshots.account_id = carried.account_id
    where
        snapshots.balance_amount is not null
        and (carried.from_utc is null or snapshots.observed_at_utc >= carried.from_utc)
        and (carried.to_utc is null or snapshots.observed_at_utc <= carried.to_utc)
),

paired as (
    select
        account_id,
        lag(observed_at_utc) over following as opened_at_utc,
        observed_at_utc as closed_at_utc,
        lag(unit_code) over following as opening_unit_code,
        unit_code,
        lag(balance_amount) over following as opening_amount,
        balance_amount as closing_amount,
        lag(resets_at_utc) over following as opening_resets_at_utc,
        resets_at_utc as closing_resets_at_utc,
        lag(quota_amount) over following as opening_quota_amount,
        quota_amount as closing_quota_amount
    from readings
    window following as (partition by account_id order by observed_at_utc)
),

quotas as (
    select
        *,
        coalesce(closing_quota_amount, opening_quota_amount) is not null
        and core.passes_reset(opened_at_utc, closed_at_utc, opening_resets_at_utc, closing_resets_at_utc)
            as is_from_reset,
        closing_amount > opening_amount
        and core.may_reset(
            closed_at_utc, opening_resets_at_utc, closing_resets_at_utc, opening_quota_amount, closing_quota_amount
        ) as is_raised
    from paired
),

intervals as (
    select
        account_id,
        opened_at_utc,
        closed_at_utc,
        -- What is gone of a quota since its reset has fallen since then.
        case
            when is_from_reset then least(opening_resets_at_utc, closed_at_utc - interval 1 microsecond)
            else opened_at_utc
        end as falls_from_utc,
        -- Until then nothing is known of spend: until the reset, or if its size is not stated, until the rise.
        case
            when is_from_reset then opening_resets_at_utc
            when is_raised then closed_at_utc
        end as unknown_until_utc,
        opening_unit_code,
        unit_code,
        core.fallen_amount(
            opened_at_utc, closed_at_utc, opening_amount, closing_amount, opening_resets_at_utc, closing_resets_at_utc,
            opening_quota_amount, closing_quota_amount
        ) as drop_amount
    from quotas
),

-- The days between two units, in both, and those before a reset, of which hourly readings miss less than two hours.
-- What closes at midnight ends with the day before.
unknown_stretches as (
    select
        account_id,
        opening_unit_code,
        unit_code,
        opened_at_utc,
        case when opening_unit_code <> unit_code then closed_at_utc else unknown_until_utc end as closed_at_utc
    from intervals
    where
        opening_unit_code <> unit_code
        or unknown_until_utc > opened_at_utc + interval 2 hour
),

unknown_days as (
    select
        intervals.account_id,
        intervals.opening_unit_code,
        intervals.unit_code,
        cast(pieces.day as date) as spend_date
    from unknown_stretches as intervals
    cross join
        lateral (
            select
                unnest(
                    generate_series(
                        date_trunc('day', intervals.opened_at_utc at time zone 'UTC'),
                        date_trunc('day', (intervals.closed_at_utc - interval 1 microsecond) at time zone 'UTC'),
                        interval 1 day
                    )
                ) as day
        ) as pieces
),

unknown_spend as (
    select
        account_id,
        spend_date,
        opening_unit_code as unit_code
    from unknown_days
    union distinct
    select
        account_id,
        spend_date,
        unit_code
    from unknown_days
),

-- A fall of the balance between two readings is spread evenly over the time between them: the share of each day is
-- the difference of what had gone by its end and by its beginning, so the shares add up to the fall exactly. What
-- closes at midnight ends with the day before.
shares as (
    select
        intervals.account_id,
        cast(pieces.day as date) as spend_date,
        intervals.unit_code,
        intervals.drop_amount,
        date_diff(
            'microsecond',
            intervals.falls_from_utc,
            greatest(intervals.falls_from_utc, pieces.day at time zone 'UTC')
        ) / greatest(date_diff('microsecond', intervals.falls_from_utc, intervals.closed_at_utc), 1) as begin_ratio,
        date_diff(
            'microsecond',
            intervals.falls_from_utc,
            least(intervals.closed_at_utc, (pieces.day + interval 1 day) at time zone 'UTC')
        ) / greatest(date_diff('microsecond', intervals.falls_from_utc, intervals.closed_at_utc), 1) as end_ratio,
        cast(pieces.last_day as date) = cast(pieces.day as date) as is_last_day,
        core.utc_date(intervals.falls_from_utc) < cast(pieces.last_day as date) as is_spread
    from intervals
    cross join
        lateral (
            select
                unnest(
                    generate_series(
                        date_trunc('day', intervals.falls_from_utc at time zone 'UTC'),
                        date_trunc('day', (intervals.closed_at_utc - interval 1 microsecond) at time zone 'UTC'),
                        interval 1 day
                    )
                ) as day,
                date_trunc('day', (intervals.closed_at_utc - interval 1 microsecond) at time zone 'UTC') as last_day
        ) as pieces
    where intervals.opening_unit_code = intervals.unit_code and intervals.drop_amount > 0
),

balance_spend as (
    select
        account_id,
        spend_date,
        unit_code,
        sum(
            case when is_last_day then drop_amount else cast(drop_amount * end_ratio as decimal(38, 9)) end
            - cast(drop_amount * begin_ratio as decimal(38, 9))
        ) as spend_amount,
        bool_or(is_spread) as is_spread
    from shares
    group by account_id, spend_date, unit_code
),

-- What each row is of: a day and a unit.
rows_wanted as (
    select
        days.account_id,
        days.spend_date,
        units.unit_code
    from days
    inner join core.account_units as units
        on
            days.account_id = units.account_id
            and units.from_at_utc < cast(days.spend_date + 1 as timestamp) at time zone 'UTC'
            and (
                units.to_at_utc is null
                or units.to_at_utc > cast(days.spend_date as timestamp) at time zone 'UTC'
            )
    union distinct
    select
        ledger_spend.account_id,
        ledger_spend.spend_date,
        ledger_spend.unit_code
    from ledger_spend
    inner join evidence
        on ledger_spend.account_id = evidence.account_id and evidence.basis = 'ledger'
    union distinct
    select
        usage_spend.account_id,
        usage_spend.spend_date,
        usage_spend.unit_code
    from usage_spend
    inner join evidence
        on usage_spend.account_id = evidence.account_id and evidence.basis = 'usage'
    union distinct
    select
        account_id,
        spend_date,
        unit_code
    from unknown_spend
),

-- A day that is not over is not over in any unit. Nor is a day known of which the vendor stated what could not be
-- read, unless another answer states it.
partial_days as (
    select
        account_id,
        spend_date
    from usage_spend
    where is_partial
    union distinct
    select
        statements.account_id,
        statements.usage_date as spend_date
    from staging.usage_statements as statements
    inner join months
        on statements.usage_date >= months.first_date and statements.usage_date < months.next_first_date
    left join usage_spend
        on statements.account_id = usage_spend.account_id and statements.usage_date = usage_spend.spend_date
    where statements.credits_amount is null and usage_spend.account_id is null
),

spend as (
    select
        days.account_id,
        days.spend_date,
        rows_wanted.unit_code,
        cast(
            -- The evidence is chosen here and not in the joins: a condition on one side alone would keep DuckDB from
            -- joining by hash.
            coalesce(
                case days.basis
                    when 'ledger' then ledger_spend.spend_amount
                    when 'usage' then usage_spend.spend_amount
                    when 'balance' then balance_spend.spend_amount
                end, 0
            )
            as decimal(38, 9)
        ) as spend_amount,
        days.basis,
        case days.basis
            when 'balance'
                then
                    days.spend_date > days.first_date
                    and days.spend_date < days.through_date
                    and unknown_spend.account_id is null
            else days.spend_date < days.through_date and (days.basis = 'ledger' or partial_days.account_id is null)
        end as is_complete,
        days.basis = 'balance' and coalesce(balance_spend.is_spread, false) as is_spread
    from days
    inner join rows_wanted on days.account_id = rows_wanted.account_id and days.spend_date = rows_wanted.spend_date
    left join ledger_spend
        on
            days.account_id = ledger_spend.account_id
            and days.spend_date = ledger_spend.spend_date
            and rows_wanted.unit_code = ledger_spend.unit_code
    left join usage_spend
        on
            days.account_id = usage_spend.account_id
            and days.spend_date = usage_spend.spend_date
            and rows_wanted.unit_code = usage_spend.unit_code
    left join balance_spend
        on
            days.account_id = balance_spend.account_id
            and days.spend_date = balance_spend.spend_date
            and rows_wanted.unit_code = balance_spend.unit_code
    left join unknown_spend
        on
            days.account_id = unknown_spend.account_id
            and days.spend_date = unknown_spend.spend_date
            and rows_wanted.unit_code = unknown_spend.unit_code
    left join partial_days on days.account_id = partial_days.account_id and days.spend_date = partial_days.spend_date
),

converted as (
    select
        spend.*,
        accounts.reporting_unit_code,
        accounts.evidence_level,
        prices.price_unit_code,
        rates.fx_rate_date,
        rates.has_old_rate,
        rates.fx_source as rate_source,
        core.to_reporting(
            spend.spend_amount,
            spend.unit_code,
            accounts.reporting_unit_code,
            prices.price_amount,
            prices.price_unit_code,
            rates.eur_rate,
            rates.reporting_eur_rate
        ) as reporting_amount
    from spend
    inner join core.accounts as accounts on spend.account_id = accounts.account_id
    left join core.credit_prices as prices
        on
            spend.account_id = prices.account_id
            and spend.unit_code = prices.unit_code
            and spend.spend_date >= prices.from_date
            and spend.spend_date <= core.open_end(prices.to_date)
    left join core.conversion_rates as rates
        on
            coalesce(prices.price_unit_code, spend.unit_code) = rates.unit_code
            and spend.spend_date = rates.conversion_date
)

select
    -- ids
    account_id,
    spend_date,

    -- amounts
    spend_amount,
    unit_code,
    reporting_amount,
    reporting_unit_code,
    case when reporting_amount is not null then fx_rate_date end as fx_rate_date,
    reporting_amount is not null and coalesce(has_old_rate, false) as has_old_rate,
    core.source_of(reporting_amount, unit_code, reporting_unit_code, price_unit_code, rate_source) as fx_source,

    -- how well it is known
    basis,
    evidence_level,
    is_complete,
    basis = 'balance' as is_lower_bound,
    is_spread
from converted
