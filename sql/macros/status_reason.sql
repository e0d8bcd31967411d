-- The sentences of marts.account_status.reason, rendered from the codes and from the columns that they refer to. All
-- text about an account's state is written here; the codes are decided in the model.
create or replace macro core.status_reason(
    reason_code,
    stale_code,
    limit_code,
    newest_outcome,
    refused_newest_row,
    balance_amount,
    unit_code,
    age_seconds,
    runway_days,
    runway_without_topups_days,
    is_topped_up,
    runway_p10_date,
    runway_p50_date,
    runway_p90_date,
    beyond_horizon_probability,
    read_date,
    now_date,
    burn_28d_amount,
    burn_day_count,
    evidence_level,
    alert_below_amount,
    alert_below_days,
    threshold_amount,
    resets_at_utc,
    next_resets_at_utc,
    is_reset_overdue,
    depleted_before_reset_probability
) as
case stale_code
    when 'request_failed' then 'The last request failed (' || newest_outcome || '); the last good balance, '
    when 'empty_answer' then 'The last answer holds no reading; the last good balance, '
    when 'unreadable_answer' then 'The last answer could not be read (see staging.rejects); the last good balance, '
    when 'refused_row'
        then
            'Row ' || cast(refused_newest_row as varchar)
            || ' of the last answer was rejected and may be the newest reading (see staging.rejects); '
            || 'the last good balance, '
    when 'too_old' then core.silence_words(age_seconds) || '; the last balance was '
    else ''
end
|| case
    when stale_code is null or stale_code = 'reset_passed' then ''
    when stale_code = 'too_old' then core.amount_words(balance_amount, unit_code) || '. '
    else core.amount_words(balance_amount, unit_code) || ', is ' || core.age_words(age_seconds) || ' old. '
end
|| case reason_code
    when 'never_requested' then 'Not requested yet'
    when 'empty_answer' then 'No reading yet: the last answer holds none'
    when 'unreadable_answer' then 'No reading yet: the last answer could not be read (see staging.rejects)'
    when 'request_failed' then 'No reading yet: the last request failed (' || newest_outcome || ')'
    when 'reset_passed' then core.reset_passed_words(resets_at_utc, balance_amount, unit_code)
    when 'depleted' then 'Nothing is left: the balance is ' || core.amount_words(balance_amount, unit_code)
    when 'one_reading'
        then 'Days left are unknown: this is the first reading, and no complete day of spend is known yet'
    when 'no_history' then 'Days left are unknown: no complete day of spend is known yet'
    when 'dry_by_forecast'
        then
            case when runway_p50_date < now_date then 'Expected to be dry since ' else 'Expected to run dry by ' end
            || cast(runway_p50_date as varchar)
            || case
                when runway_p10_date <> runway_p50_date and runway_p90_date <> runway_p50_date
                    then
                        ' (10 % chance by ' || cast(runway_p10_date as varchar)
                        || ', 90 % by ' || cast(runway_p90_date as varchar) || ')'
                when runway_p10_date <> runway_p50_date
                    then ' (10 % chance by ' || cast(runway_p10_date as varchar) || ')'
                when runway_p90_date <> runway_p50_date
                    then ' (90 % chance by ' || cast(runway_p90_date as varchar) || ')'
                else ''
            end
    when 'lasts_by_forecast'
        then
            'Expected to last more than 90 days'
            || case when now_date > read_date then ' from ' || cast(read_date as varchar) else '' end
            || coalesce(' (' || core.chance_words(beyond_horizon_probability) || ' chance)', '')
            || coalesce('; 10 % chance of running dry by ' || cast(runway_p10_date as varchar), '')
    when 'lasts_until_reset'
        then
            'Resets on ' || cast(core.utc_date(next_resets_at_utc) as varchar)
            || coalesce(
                '; ' || core.chance_words(depleted_before_reset_probability) || ' chance to be used up before',
                ', and lasts until then at the mean'
            )
            || coalesce(', 10 % by ' || cast(runway_p10_date as varchar), '')
    when 'no_spend'
        then
            case
                when burn_day_count = 1 then 'No spend on the last day'
                else format('No spend in the last {} days', burn_day_count)
            end
    when 'over_ten_years'
        then 'Lasts more than ten years at ' || core.amount_words(burn_28d_amount, unit_code) || ' a day'
    when 'days_at_mean' then core.days_words(runway_days) || ' left'
    else 'Days left are unknown'
end
|| case
    when reason_code not in ('dry_by_forecast', 'lasts_by_forecast') or not is_topped_up then ''
    when runway_without_topups_days is not null
        then '; automatic top-ups are included, without them ' || core.days_words(runway_without_topups_days)
    else '; automatic top-ups are included, without them more than 90 days, too'
end
|| case
    when reason_code = 'days_at_mean' then ' at '
    when reason_code in ('dry_by_forecast', 'lasts_by_forecast', 'lasts_until_reset') and burn_28d_amount is not null
        then '; spend is '
    else ''
end
|| case
    when
        reason_code not in ('days_at_mean', 'dry_by_forecast', 'lasts_by_forecast', 'lasts_until_reset')
        or burn_28d_amount is null
        then ''
    else
        core.amount_words(burn_28d_amount, unit_code) || ' a day ('
        || case
            when burn_day_count = 1 then '1 day of spend known' else format('average of {} days', burn_day_count)
        end
        || case when evidence_level = 'balance' then ', a lower bound: only balances are known' else '' end
        || ')'
end
|| case
    when reason_code = 'reset_passed' or resets_at_utc is null then ''
    when is_reset_overdue
        then '; the reset that the vendor states for ' || cast(core.utc_date(resets_at_utc) as varchar) || ' has passed'
    when reason_code = 'lasts_until_reset' or next_resets_at_utc is null then ''
    else
        '; resets on ' || cast(core.utc_date(next_resets_at_utc) as varchar)
        || coalesce(
            ', ' || core.chance_words(case when reason_code <> 'depleted' then depleted_before_reset_probability end)
            || ' chance to be used up before',
            ''
        )
end
|| case limit_code
    when 'vendor_cut_off'
        then
            '; the vendor states that it no longer creates instances'
            || coalesce(
                case
                    when balance_amount < threshold_amount
                        then
                            ', because the balance is below its threshold of '
                            || core.amount_words(threshold_amount, unit_code)
                end,
                ''
            )
    when 'own_amount' then '; below your limit of ' || core.amount_words(alert_below_amount, unit_code)
    when 'own_amount_expected'
        then '; by now probably below your limit of ' || core.amount_words(alert_below_amount, unit_code)
    when 'own_days' then format('; below your limit of {:g} days', alert_below_days)
    when 'vendor_threshold'
        then '; below the vendor''s threshold of ' || core.amount_words(threshold_amount, unit_code)
    when 'vendor_threshold_expected'
        then '; by now probably below the vendor''s threshold of ' || core.amount_words(threshold_amount, unit_code)
    else ''
end
|| '.'
