-- That no reading has arrived for a time, as the sentences about stale accounts begin.
create or replace macro core.silence_words(age_seconds) as 'No new reading for ' || core.age_words(age_seconds)
