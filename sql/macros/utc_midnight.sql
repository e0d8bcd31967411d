-- The instant at which a UTC day begins. `at time zone` looks up a calendar for each row, at fifteen times the cost.
create or replace macro core.utc_midnight(day) as
make_timestamptz(epoch_us(day))
