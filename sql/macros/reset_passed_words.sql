-- That nothing is known of a quota since its reset, because no reading has been made since then.
create or replace macro core.reset_passed_words(resets_at_utc, balance_amount, unit_code) as
'Unknown since the reset of ' || strftime(resets_at_utc at time zone 'UTC', '%Y-%m-%d %H:%M')
|| ' UTC: no reading has been made since then; before it the balance was '
|| core.amount_words(balance_amount, unit_code)
