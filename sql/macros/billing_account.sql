-- The billing account of a charge in FOCUS: the account's own in its first currency, and another in each further one,
-- because a billing account has one currency.
create or replace macro core.billing_account(account_id, currency_code, first_currency_code) as
account_id || case when currency_code = first_currency_code then '' else ':' || currency_code end
