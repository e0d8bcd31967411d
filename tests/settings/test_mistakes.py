"""Every mistake in accounts.toml is one line with the file, the account and the key, and no value."""

import pytest

from pipeline.schema.severities import ALERT_RULES
from pipeline.support.errors import unknown
from pipeline.vendors import declared_folder, discover
from pipeline.vendors._port import Vendor
from tests.settings.conftest import Line
from tests.settings.texts import CANARY, VARIABLE, account

VENDORS = f"{', '.join(discover())}; another can be declared in {declared_folder()}"
TOP = f"{unknown('key')}; known keys: monthly_budget_amount, monthly_budget_unit, monthly_budgets, reporting_currency, allow_http_loopback, notify_url_env, heartbeat_url_env, publish, [fx], engine, [spark], [alerts], [teams.NAME], [accounts.ID]"
NOTIFY = (
    "must be the NAME of an environment variable in capitals, such as DRAWDOWN_NOTIFY_URL; never put the URL itself "
    "here"
)
PLAIN = (
    "looks like a secret in plain text; put the secret into an environment variable and its NAME under a key such as "
    "api_key_env"
)
ALERT_KEYS = (
    "lowest_severity",
    "quiet_hours",
    "timezone",
    "critical_waits",
    "budget_probability",
    "report_url",
    "severities",
)
HOURS = 'must be two different times of day in quotes, such as "22:00-07:00"'
ZONE = "must be the name of a time zone that this machine knows, such as Europe/Berlin"
MOST = "must not be further from zero than 1,000,000,000,000,000"
EXACT = 'must be an exact number in quotes, such as "12.50", with at most 9 decimals'
NONE = "names no account; add a table such as [accounts.vpsbg-main]"
TEXT = "must be a text in quotes, of one line and at most 200 characters"
TAGS = 'must be a table of texts, such as { product = "shop" }'
RATE = 'must be a share between 0 and 1 in quotes, such as "0.20" for 20 %'
CURRENCY = "must be an ISO 4217 code such as EUR or USD"
DAYS = "must be a whole number of days between 0 and 36500"
RATE_DAYS = "must be a whole number of days between 7 and 366"
HISTORY = "must be a whole number of days between 1 and 36500"
TOP_MISTAKES = {
    f"colour = {CANARY!r}": f"colour: {TOP}",
    f"[vpsbg-main]\nvendor = {CANARY!r}": f"vpsbg-main: {TOP}",
    f"token = {CANARY!r}": f"token: {PLAIN}",
    f"API_KEY = {CANARY!r}": f"API_KEY: {PLAIN}",
    f"vpsbg_password = {CANARY!r}": f"vpsbg_password: {PLAIN}",
    '"a\\nb\\u001b[2J" = 1': f"'a\\nb\\x1b[2J': {TOP}",
    f'reporting_currency = "{CANARY}"': f"reporting_currency: {CURRENCY}",
    'reporting_currency = "eur"': f"reporting_currency: {CURRENCY}",
    'reporting_currency = ["EUR"]': f"reporting_currency: {CURRENCY}",
    f'notify_url = "slack://{CANARY}"': f"notify_url: {TOP}",
    f'notify_url_env = "slack://{CANARY}"': f"notify_url_env: {NOTIFY}",
    "notify_url_env = ['DRAWDOWN_NOTIFY_URL']": f"notify_url_env: {NOTIFY}",
    "engine = 'ray'": "engine: must be one of duckdb, spark",
    "engine = 1": "engine: must be one of duckdb, spark",
    "spark = 1": 'spark: must be a table, such as [spark] with master = "spark://host:7077"',
    "[spark]\ncolour = 1": (
        f"spark: colour: {unknown('key')}; known keys: master, remote, storage, shards, pollers, catalog_env, task_memory_mb"
    ),
    "[spark]\nmaster = 'local[2]'\nremote = 'sc://host:15002'": (
        "spark: remote: there is a master, too; keep one of them"
    ),
    "[spark]\nshards = 0": "spark: shards: must be a whole number between 1 and 100000",
    "[spark]\npollers = 0": "spark: pollers: must be a whole number between 1 and 1000",
    f"[spark]\ncatalog_env = '{CANARY}'": (
        "spark: catalog_env: must be the NAME of an environment variable in capitals, such as DRAWDOWN_CATALOG; never "
        "put the connection string itself here"
    ),
    "fx = 'ecb'": 'fx: must be a table, such as [fx] with source = "ecb"',
    "[fx]\ncolour = 1": f"fx: colour: {unknown('key')}; known keys: source, url, oldest_days",
    f"[fx]\nsource = '{CANARY}'": "fx: source: must be one of ecb, package",
    "[fx]\nsource = 1": "fx: source: must be one of ecb, package",
    "[fx]\nurl = 1": "fx: url: must be a text in quotes, such as https://www.ecb.europa.eu/stats/eurofxref",
    f"[fx]\nurl = 'http://rates.example.com/{CANARY}'": (
        "fx: url: must begin with https://, because the key would be sent unencrypted"
    ),
    f"[fx]\nurl = 'https://me:{CANARY}@rates.example.com'": "fx: url: must not hold a user name or password before the host",
    f"[fx]\nurl = 'https://rates.example.com/?key={CANARY}'": "fx: url: must hold neither a query nor a fragment",
    "[fx]\nurl = 'http://127.0.0.1:80'": (
        "fx: url: points at this computer; set allow_http_loopback to permit that for a sandbox"
    ),
    "[fx]\noldest_days = 6": f"fx: oldest_days: {RATE_DAYS}",
    "[fx]\noldest_days = 367": f"fx: oldest_days: {RATE_DAYS}",
    "[fx]\noldest_days = 45.0": f"fx: oldest_days: {RATE_DAYS}",
    "[fx]\noldest_days = true": f"fx: oldest_days: {RATE_DAYS}",
    "[fx]\noldest_days = '45'": f"fx: oldest_days: {RATE_DAYS}",
    "alerts = 1": "alerts: must be a table: [alerts]",
    "[alerts]\ncolour = 1": f"alerts: colour: {unknown('key')}; known keys: {', '.join(ALERT_KEYS)}",
    f"[alerts]\nlowest_severity = '{CANARY}'": "alerts: lowest_severity: must be one of watch, warning, critical",
    '[alerts]\nlowest_severity = "ok"': "alerts: lowest_severity: must be one of watch, warning, critical",
    '[alerts]\nquiet_hours = "22:00"': f"alerts: quiet_hours: {HOURS}",
    '[alerts]\nquiet_hours = "24:00-07:00"': f"alerts: quiet_hours: {HOURS}",
    '[alerts]\nquiet_hours = "07:00-07:00"': f"alerts: quiet_hours: {HOURS}",
    "[alerts]\nquiet_hours = 22": f"alerts: quiet_hours: {HOURS}",
    f"[alerts]\ntimezone = '{CANARY}'": f"alerts: timezone: {ZONE}",
    "[alerts]\ntimezone = '../../etc/passwd'": f"alerts: timezone: {ZONE}",
    "[alerts]\ntimezone = ''": f"alerts: timezone: {ZONE}",
    "[alerts]\ntimezone = 2": f"alerts: timezone: {ZONE}",
    "[alerts]\ncritical_waits = 'yes'": "alerts: critical_waits: must be true or false",
    "[alerts]\nseverities = 'high'": (
        'alerts: severities: must be a table of severities by rule, such as { stale = "critical", anomaly = "off" }'
    ),
    "[alerts]\nseverities = { runways = 'off' }": (
        f"alerts: severities: runways: {unknown('rule')}; known rules: {', '.join(ALERT_RULES)}"
    ),
    f"[alerts]\nseverities = {{ stale = '{CANARY}' }}": (
        "alerts: severities: stale: must be one of watch, warning, critical, off"
    ),
    "reporting_currency = {}": f"reporting_currency: {CURRENCY}",
    'allow_http_loopback = "true"': "allow_http_loopback: must be true or false",
    "allow_http_loopback = 1": "allow_http_loopback: must be true or false",
}


@pytest.mark.parametrize("top", TOP_MISTAKES)
def test_a_mistake_at_the_top_names_its_key(line: Line, top: str) -> None:
    assert line(f"{top}\n") == line(account(top=top)) == TOP_MISTAKES[top]


NO_ACCOUNTS = {
    "": f"accounts: {NONE}",
    "# nothing\n": f"accounts: {NONE}",
    "[accounts]\n": f"accounts: {NONE}",
    f"accounts = {CANARY!r}": f"accounts: {NONE}",
    "[[accounts]]\nvendor = 'vpsbg'": f"accounts: {NONE}",
    "[accounts]\nvendor = 'vpsbg'": "account vendor: must be a table: [accounts.ID]",
    "[[accounts.main]]\nvendor = 'vpsbg'": "account main: must be a table: [accounts.ID]",
    f"[accounts]\nmain = {CANARY!r}": "account main: must be a table: [accounts.ID]",
}


@pytest.mark.parametrize("text", NO_ACCOUNTS)
def test_no_account_or_none_that_is_a_table_is_a_mistake(line: Line, text: str) -> None:
    assert line(text) == NO_ACCOUNTS[text]


ACCOUNT_MISTAKES = {
    f"api_key = {CANARY!r}": f"api_key: {PLAIN}",
    f"secret = {CANARY!r}": f"secret: {PLAIN}",
    f"client_id = {CANARY!r}": f"client_id: {PLAIN}",
    f"Bearer = {CANARY!r}": f"Bearer: {PLAIN}",
    "colour = 'red'\napi_key = 'first by name'": f"api_key: {PLAIN}",
    "history_days = 0": f"history_days: {HISTORY}",
    "history_days = -1": f"history_days: {HISTORY}",
    "history_days = 36501": f"history_days: {HISTORY}",
    "history_days = 1.5": f"history_days: {HISTORY}",
    "history_days = true": f"history_days: {HISTORY}",
    'history_days = "30"': f"history_days: {HISTORY}",
    "alert_below_days = -1": f"alert_below_days: {DAYS}",
    "alert_below_days = 2.5": f"alert_below_days: {DAYS}",
    "topup_lead_days = -2": "topup_lead_days: must be a whole number of days between 0 and 60",
    "topup_lead_days = 61": "topup_lead_days: must be a whole number of days between 0 and 60",
    "alert_below_amount = 25.0": f"alert_below_amount: {EXACT}",
    "alert_below_amount = true": f"alert_below_amount: {EXACT}",
    "alert_below_amount = 2026-03-18": f"alert_below_amount: {EXACT}",
    f"alert_below_amount = {CANARY!r}": f"alert_below_amount: {EXACT}",
    'alert_below_amount = "1e3"': f"alert_below_amount: {EXACT}",
    'alert_below_amount = "NaN"': f"alert_below_amount: {EXACT}",
    'alert_below_amount = "1,000.00"': f"alert_below_amount: {EXACT}",
    'alert_below_amount = "1.0123456789"': f"alert_below_amount: {EXACT}",
    'alert_below_amount = "25\\n"': f"alert_below_amount: {EXACT}",
    'alert_below_amount = "\\uFF12\\uFF15"': f"alert_below_amount: {EXACT}",
    f"alert_below_amount = {10**29}": f"alert_below_amount: {EXACT}",
    f"alert_below_amount = {hex(10**6000)}": f"alert_below_amount: {EXACT}",
    f'alert_below_amount = "-{10**15}.000000001"': f"alert_below_amount: {MOST}",
    f"topup_minimum_amount = {10**28}": f"topup_minimum_amount: {MOST}",
    "topup_minimum_amount = 9.99": f"topup_minimum_amount: {EXACT}",
    'topup_minimum_amount = "-1"': "topup_minimum_amount: must not be negative",
    "topup_minimum_amount = -1": "topup_minimum_amount: must not be negative",
    "tax_rate = 0.2": f"tax_rate: {EXACT}",
    'tax_rate = "-0.2"': f"tax_rate: {RATE}",
    "tax_rate = 20": f"tax_rate: {RATE}",
    "team = 7": f"team: {TEXT}",
    'team = " "': f"team: {TEXT}",
    'team = "a\\nb"': f"team: {TEXT}",
    f'team = "{"a" * 201}"': f"team: {TEXT}",
    'tags = "shop"': f"tags: {TAGS}",
    "tags = { product = 1 }": f"tags: product: {TEXT}",
    'tags = { product = "a\\u001b[2Jb" }': f"tags: product: {TEXT}",
    'tags = { "" = "shop" }': f"tags: {TEXT}",
    "path = 5": f"path: {TEXT}",
    'path = ""': f"path: {TEXT}",
    'path = "a\\nb.csv"': f"path: {TEXT}",
    f'path = "~{CANARY}/b.csv"': "path: begins with the home folder of a user who is not known here",
    "base_url = 5": "base_url: must be a text in quotes, such as https://api.example.com/v1",
    "base_url = ['https://x.example']": "base_url: must be a text in quotes, such as https://api.example.com/v1",
}


@pytest.mark.parametrize("more", ACCOUNT_MISTAKES, ids=lambda more: more[:40])
def test_a_mistake_in_an_account_names_the_account_and_its_key(line: Line, more: str) -> None:
    assert line(account(more)) == f"account main: {ACCOUNT_MISTAKES[more]}"


VENDOR_MISTAKES = {
    'vendor = "vpsgb"': f"{unknown('vendor')}; known vendors: {VENDORS}",
    f'vendor = "{CANARY}"': f"{unknown('vendor')}; known vendors: {VENDORS}",
    'vendor = "Vpsbg"': f"{unknown('vendor')}; known vendors: {VENDORS}",
    "vendor = 5": f"{unknown('vendor')}; known vendors: {VENDORS}",
    'vendor = ["vpsbg"]': f"{unknown('vendor')}; known vendors: {VENDORS}",
    "vendor = { name = 'vpsbg' }": f"{unknown('vendor')}; known vendors: {VENDORS}",
    "": f"is missing; known vendors: {VENDORS}",
}


@pytest.mark.parametrize("text", VENDOR_MISTAKES)
def test_an_unknown_vendor_is_answered_with_the_known_ones(line: Line, text: str) -> None:
    assert (
        line(f"[accounts.main]\n{text}\napi_key_env = '{VARIABLE}'") == f"account main: vendor: {VENDOR_MISTAKES[text]}"
    )


@pytest.mark.parametrize("key", ["colour", "alert_below", "base-url", "unit_", "bad\\u0000key"])
def test_an_unknown_key_is_answered_with_the_known_ones(line: Line, key: str) -> None:
    shown = "'bad\\x00key'" if "bad" in key else key
    words = line(account(f'"{key}" = "{CANARY}"'))
    begin, known = words.split("; known keys: ")
    assert begin == f"account main: {shown}: {unknown('key for VPSBG')}"
    assert known.split(", ") == sorted(known.split(", "))
    assert {"vendor", "base_url", "api_key_env", "team", "history_days"} <= set(known.split(", "))


@pytest.mark.parametrize("vendor", [each for each in discover().values() if each.base_url is None])
def test_readings_kept_by_hand_need_their_file_and_have_no_address(line: Line, vendor: Vendor) -> None:
    table = f'[accounts.main]\nvendor = "{vendor.name}"\n'
    assert line(table) == "account main: path: is missing; give the path of the CSV file"
    words = line(f'{table}path = "a.csv"\nbase_url = "https://api.example.com"')
    assert words.startswith(f"account main: base_url: {unknown(f'key for {vendor.title}')}; known keys: ")
    assert line(f'{table}path = "a.csv"\napi_key = "{CANARY}"') == f"account main: api_key: {PLAIN}"


def test_a_key_of_another_vendor_is_unknown(line: Line) -> None:
    words = line(account('credit_price_amount = "0.10"'))
    assert words.startswith(f"account main: credit_price_amount: {unknown('key for VPSBG')}; known keys: ")


CREDIT_MISTAKES = {
    'credit_price_amount = "0.10"': (
        "credit_price_currency: is missing; credit_price_amount and credit_price_currency go together"
    ),
    'credit_price_currency = "USD"': (
        "credit_price_amount: is missing; credit_price_currency and credit_price_amount go together"
    ),
    'credit_price_amount = 0.10\ncredit_price_currency = "USD"': f"credit_price_amount: {EXACT}",
    'credit_price_amount = "-0.10"\ncredit_price_currency = "USD"': "credit_price_amount: must not be negative",
    'credit_price_amount = "0.10"\ncredit_price_currency = "voxpria-credit"': f"credit_price_currency: {CURRENCY}",
    'credit_price_amount = "0.10"\ncredit_price_currency = "usd"': f"credit_price_currency: {CURRENCY}",
    'credit_price_amount = "0.10"\ncredit_price_currency = {}': f"credit_price_currency: {CURRENCY}",
}


@pytest.mark.parametrize("more", CREDIT_MISTAKES)
def test_a_credit_price_needs_an_exact_number_and_its_currency(line: Line, more: str) -> None:
    assert line(account(more, vendor="voxpria")) == f"account main: {CREDIT_MISTAKES[more]}"


IDS = 'must be a list of account ids that it had before, such as ["old-id"]'
FORMER_MISTAKES = {
    '"old"': IDS,
    "5": IDS,
    "{ old = 'main' }": IDS,
    "[5]": IDS,
    "['Old']": IDS,
    "['']": IDS,
    "['old\\n']": IDS,
    f"['{'a' * 64}']": IDS,
    "['../old']": IDS,
    f"['old', {CANARY!r}]": IDS,
    "['old', 'main']": "id 2 is the account's own; remove it",
    "['other']": "id 1 is account other of this file, which keeps its own history; remove one of them",
    "['old', 'before']": "id 2 is also listed for account other; keep it in one of them",
}


@pytest.mark.parametrize("value", FORMER_MISTAKES, ids=lambda value: value[:30])
def test_a_former_id_belongs_to_one_account_and_to_no_configured_one(line: Line, value: str) -> None:
    text = account("formerly = ['before']", name="other") + account(f"formerly = {value}")
    assert line(text) == f"account main: formerly: {FORMER_MISTAKES[value]}"


PRICE = 'must be a table, such as { from = 2026-06-01, amount = "0.008", currency = "USD" }'
PRICES = 'must be a list of prices, such as [{ from = 2026-06-01, amount = "0.008", currency = "USD" }]'
FROM = "must be a day without quotes, such as 2026-06-01, not before 2000"
GOOD = '{ from = 2026-01-01, amount = "0.10", currency = "USD" }'
PRICE_MISTAKES = {
    '"0.10"': PRICES,
    "[]": PRICES,
    "{}": PRICES,
    f"[{GOOD}, {CANARY!r}]": f"price 2: {PRICE}",
    "[{}]": "price 1: from: is missing; a price has from, amount, currency",
    f"[{GOOD}, {{ from = 2026-06-01, amount = '1' }}]": (
        "price 2: currency: is missing; a price has from, amount, currency"
    ),
    f"[{{ from = 2026-06-01, price = {CANARY!r} }}]": (
        f"price 1: price: {unknown('key')}; known keys: from, amount, currency"
    ),
    '[{ "a\\u001b" = 1 }]': f"price 1: 'a\\x1b': {unknown('key')}; known keys: from, amount, currency",
    "[{ from = '2026-06-01', amount = '1', currency = 'USD' }]": f"price 1: from: {FROM}",
    "[{ from = 2026-06-01T00:00:00Z, amount = '1', currency = 'USD' }]": f"price 1: from: {FROM}",
    "[{ from = 1999-12-31, amount = '1', currency = 'USD' }]": f"price 1: from: {FROM}",
    "[{ from = 2026, amount = '1', currency = 'USD' }]": f"price 1: from: {FROM}",
    "[{ from = 2026-06-01, amount = 0.1, currency = 'USD' }]": f"price 1: amount: {EXACT}",
    "[{ from = 2026-06-01, amount = '-1', currency = 'USD' }]": "price 1: amount: must not be negative",
    "[{ from = 2026-06-01, amount = '1', currency = 'voxpria-credit' }]": f"price 1: currency: {CURRENCY}",
    f"[{GOOD}, {GOOD}]": "price 2: from: a second price from 2026-01-01 on",
}


@pytest.mark.parametrize("value", PRICE_MISTAKES)
def test_a_mistake_in_a_history_of_prices_names_the_price_and_its_key(line: Line, value: str) -> None:
    words = line(account(f"credit_prices = {value}", vendor="voxpria"))
    assert words == f"account main: credit_prices: {PRICE_MISTAKES[value]}"


PLANS = "must be a list of plans: [[accounts.ID.planned]] with from, to, and amount or multiplier"
PLAN = 'must be a table, such as { from = 2026-12-01, to = 2026-12-14, amount = "1200" }'
PLAN_DAY = "must be a day without quotes, such as 2026-12-01, not before 2000"
PLAN_MISSING = "a plan has from, to, and amount or multiplier"
PLAN_KEYS = "from, to, amount, multiplier, note"
MULTIPLIER = 'must be between 0 and 1000 in quotes, such as "1.5" for half as much again'
WEEK = "from = 2026-12-01, to = 2026-12-07"
GOOD_PLAN = f"{{ {WEEK}, amount = '70' }}"
PLAN_MISTAKES = {
    '"1200"': PLANS,
    "{}": PLANS,
    GOOD_PLAN: PLANS,
    f"[{GOOD_PLAN}, {CANARY!r}]": f"plan 2: {PLAN}",
    "[{}]": f"plan 1: from: is missing; {PLAN_MISSING}",
    f"[{GOOD_PLAN}, {{ from = 2026-12-01, amount = '1' }}]": f"plan 2: to: is missing; {PLAN_MISSING}",
    f"[{{ {WEEK} }}]": f"plan 1: amount: is missing; {PLAN_MISSING}",
    f"[{{ {WEEK}, amount = '1', multiplier = '2' }}]": (
        "plan 1: multiplier: must not be given together with amount; make two plans for the same days"
    ),
    f"[{{ {WEEK}, planned = {CANARY!r} }}]": f"plan 1: planned: {unknown('key')}; known keys: {PLAN_KEYS}",
    "[{ from = '2026-12-01', to = 2026-12-07, amount = '1' }]": f"plan 1: from: {PLAN_DAY}",
    "[{ from = 1999-12-31, to = 2026-12-07, amount = '1' }]": f"plan 1: from: {PLAN_DAY}",
    "[{ from = 2026-12-01, to = 2026-12-07T00:00:00Z, amount = '1' }]": f"plan 1: to: {PLAN_DAY}",
    "[{ from = 2026-12-02, to = 2026-12-01, amount = '1' }]": "plan 1: to: must not be before from",
    "[{ from = 2026-01-01, to = 2027-01-02, amount = '1' }]": "plan 1: to: is too late; a plan has at most 366 days",
    f"[{{ {WEEK}, amount = 1.5 }}]": f"plan 1: amount: {EXACT}",
    f"[{{ {WEEK}, amount = '-0.000000001' }}]": "plan 1: amount: must not be negative",
    f"[{{ {WEEK}, multiplier = 1.5 }}]": f"plan 1: multiplier: {EXACT}",
    f"[{{ {WEEK}, multiplier = '-1' }}]": f"plan 1: multiplier: {MULTIPLIER}",
    f"[{{ {WEEK}, multiplier = '1000.000000001' }}]": f"plan 1: multiplier: {MULTIPLIER}",
    f"[{{ {WEEK}, amount = '1', note = ' ' }}]": f"plan 1: note: {TEXT}",
}


@pytest.mark.parametrize("value", PLAN_MISTAKES)
def test_a_mistake_in_planned_spend_names_the_plan_and_its_key(line: Line, value: str) -> None:
    assert line(account(f"planned = {value}")) == f"account main: planned: {PLAN_MISTAKES[value]}"


def test_a_mistake_in_a_table_of_planned_spend_names_the_plan_and_its_key(line: Line) -> None:
    plans = f"[[accounts.main.planned]]\n{WEEK.replace(', ', chr(10))}\n"
    assert line(account(f'{plans}amount = "1"\n{plans}multiplier = "x"')) == (
        f"account main: planned: plan 2: multiplier: {EXACT}"
    )


@pytest.mark.parametrize("value", ['"inr"', '"rupees"', '"Voxpria-Credit"', '"voxpria-credit\\n"', '""', "5", "[]"])
@pytest.mark.parametrize("vendor", [each for each in discover().values() if "unit" in each.settings])
def test_a_unit_is_a_currency_or_a_vendors_own(line: Line, vendor: Vendor, value: str) -> None:
    names = "".join(f'{key} = "{VARIABLE}"\n' for key in vendor.secret_settings)
    words = line(f'[accounts.main]\nvendor = "{vendor.name}"\n{names}unit = {value}')
    assert words == (
        "account main: unit: must be an ISO 4217 code such as INR, or a vendor's unit such as voxpria-credit"
    )
