"""Every mistake in accounts.toml is one line that names the file, the account and the key, and no value."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.schema.severities import ALERT_RULES
from pipeline.settings import accounts_path, load
from pipeline.support.errors import UsageError, unknown
from pipeline.vendors import discover
from pipeline.vendors._port import Vendor
from tests.settings.conftest import Line

CANARY = "canary-7f3b9Zq4k3y"
VARIABLE = "DRAWDOWN_TEST_KEY"
VENDORS = ", ".join(discover())
TOP = f"{unknown('key')}; known keys: reporting_currency, allow_http_loopback, notify_url_env, publish, [alerts], [accounts.ID]"
NOTIFY = (
    "must be the NAME of an environment variable in capitals, such as DRAWDOWN_NOTIFY_URL; never put the URL itself "
    "here"
)
PLAIN = (
    "looks like a secret in plain text; put the secret into an environment variable and its NAME under a key such as "
    "api_key_env"
)
ALERT_KEYS = ("lowest_severity", "quiet_hours", "timezone", "critical_waits", "severities")
HOURS = 'must be two different times of day in quotes, such as "22:00-07:00"'
ZONE = "must be the name of a time zone that this machine knows, such as Europe/Berlin"
NO_NAME = "must be the NAME of an environment variable in capitals, such as VPSBG_API_KEY; never put a secret here"
MOST = "must not be further from zero than 1,000,000,000,000,000"
EXACT = 'must be an exact number in quotes, such as "12.50", with at most 9 decimals'
NONE = "names no account; add a table such as [accounts.vpsbg-main]"
TEXT = "must be a text in quotes, of one line and at most 200 characters"
TAGS = 'must be a table of texts, such as { product = "shop" }'
RATE = 'must be a share between 0 and 1 in quotes, such as "0.20" for 20 %'
CURRENCY = "must be an ISO 4217 code such as EUR or USD"
DAYS = "must be a whole number of days between 0 and 36500"
HISTORY = "must be a whole number of days between 1 and 36500"


def quoted(text: str) -> str:
    """Any text as a TOML string."""
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08X}" for c in text) + '"'


def account(more: str = "", *, vendor: str = "vpsbg", name: str = "main", top: str = "") -> str:
    return f'{top}\n[accounts.{name}]\nvendor = "{vendor}"\napi_key_env = "{VARIABLE}"\n{more}\n'


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
def test_an_unknown_vendor_is_told_the_known_ones(line: Line, text: str) -> None:
    assert (
        line(f"[accounts.main]\n{text}\napi_key_env = '{VARIABLE}'") == f"account main: vendor: {VENDOR_MISTAKES[text]}"
    )


@pytest.mark.parametrize("key", ["colour", "alert_below", "base-url", "unit_", "bad\\u0000key"])
def test_an_unknown_key_is_told_the_known_ones(line: Line, key: str) -> None:
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


NOT_NAMES = [
    CANARY,
    "sk_live_51Hxyz",
    "vpsbg_api_key",
    "",
    " VPSBG_API_KEY",
    "VPSBG_API_KEY ",
    "VPSBG_API_KEY\n",
    "VPSBG API KEY",
    "$VPSBG_API_KEY",
    "${VPSBG_API_KEY}",
    "1VPSBG",
    "VPSBG-API-KEY",
    "VPSBG=KEY",
    "VPSBG_\N{CYRILLIC CAPITAL LETTER A}PI_KEY",
    "A" * 129,
]


@pytest.mark.parametrize("value", NOT_NAMES, ids=ascii)
def test_what_is_no_variables_name_is_refused_unseen(line: Line, value: str) -> None:
    words = line(f'[accounts.main]\nvendor = "vpsbg"\napi_key_env = {quoted(value)}')
    assert words == f"account main: api_key_env: {NO_NAME}"


@pytest.mark.parametrize("value", ["5", "true", "['VPSBG_API_KEY']", "{ name = 'VPSBG_API_KEY' }"])
def test_a_variables_name_is_a_text(line: Line, value: str) -> None:
    assert line(f'[accounts.main]\nvendor = "vpsbg"\napi_key_env = {value}') == f"account main: api_key_env: {NO_NAME}"


def test_an_absent_variables_name_is_asked_for(line: Line) -> None:
    words = line('[accounts.main]\nvendor = "vpsbg"')
    assert words == "account main: api_key_env: is missing; give the NAME of the environment variable"


@pytest.mark.parametrize("vendor", [each for each in discover().values() if each.auth], ids=lambda each: each.name)
def test_every_secret_of_every_vendor_is_named_by_variable_only(line: Line, vendor: Vendor) -> None:
    for header in vendor.auth:
        others = {each.setting for each in vendor.auth} - {header.setting}
        rest = "".join(f'{each} = "{VARIABLE}"\n' for each in others)
        text = f'[accounts.main]\nvendor = "{vendor.name}"\n{rest}'
        assert line(f'{text}{header.setting} = "{CANARY}"') == f"account main: {header.setting}: {NO_NAME}"


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
def test_what_a_credit_cost_needs_an_exact_number_and_its_currency(line: Line, more: str) -> None:
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


PRICES = 'must be a list of prices, such as [{ from = 2026-06-01, amount = "0.008", currency = "USD" }]'
PRICE = 'must be a table, such as { from = 2026-06-01, amount = "0.008", currency = "USD" }'
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


@pytest.mark.parametrize("value", ['"inr"', '"rupees"', '"Voxpria-Credit"', '"voxpria-credit\\n"', '""', "5", "[]"])
@pytest.mark.parametrize("vendor", [each for each in discover().values() if "unit" in each.settings])
def test_a_unit_is_a_currency_or_a_vendors_own(line: Line, vendor: Vendor, value: str) -> None:
    names = "".join(f'{header.setting} = "{VARIABLE}"\n' for header in vendor.auth)
    words = line(f'[accounts.main]\nvendor = "{vendor.name}"\n{names}unit = {value}')
    assert words == (
        "account main: unit: must be an ISO 4217 code such as INR, or a vendor's unit such as voxpria-credit"
    )


@pytest.mark.faults(43)
@pytest.mark.parametrize(
    "name",
    ["t; drop table t", "../x", "..", "Main", "", "a" * 64, "-main", "_main", "a b", "a.b", "a/b", "a'b", 'a"b', "a\n",
     "m\N{LATIN SMALL LETTER A WITH DIAERESIS}in", "\N{CYRILLIC SMALL LETTER A}", "a\x1b[2J", "a\u202eb"],
    ids=ascii,
)  # fmt: skip
def test_an_unsafe_account_id_is_refused(line: Line, name: str) -> None:
    words = line(account(name=quoted(name)))
    assert words == (f"accounts: unsafe account id {name[:40]!a}; use small letters, digits, - and _, at most 63")


@pytest.mark.faults(43)
@pytest.mark.parametrize("name", ["a", "0", "a" * 63, "vpsbg-main", "a_b-c0"])
def test_a_plain_account_id_is_taken(write: Callable[[str], Path], name: str) -> None:
    assert list(load(write(account(name=name))).accounts) == [name]


UNSAFE_URLS = [
    "https://good.com\\@evil.com",
    "https://good.com\\.evil.com",
    "https://user@good.com",
    "https://user:pw@good.com",
    "https://good.com:443@evil.com",
    "http://good.com",
    "http://8.8.8.8/v1",
    "http://127.0.0.1.evil.com",
    "ftp://good.com",
    "good.com",
    "//good.com",
    "https:good.com",
    "https://",
    "",
    "https://10.0.0.1",
    "https://172.16.0.1",
    "https://192.168.1.1/v1",
    "https://169.254.169.254/latest",
    "https://100.64.0.1",
    "https://0.0.0.0",
    "https://2130706433",
    "https://0x7f.1",
    "https://0177.0.0.1",
    "https://127.1",
    "https://[::ffff:127.0.0.1]",
    "https://[fe80::1]",
    "https://[fc00::1]",
    "https://intranet",
    "https://evil.localhost",
    "https://xn--80ak6aa92e.com",
    "https://good.com/v1?api_key=" + CANARY,
    "https://good.com/#" + CANARY,
    "https://good.com/../v1",
    "https://good.com/a b",
    "https://good.com\n",
    "https://good.com:0",
    "https://good.com\x00",
    f"https://{CANARY}@good.com",
    f"https://x:{CANARY}@good.com\\",
]


@pytest.mark.faults(40)
@pytest.mark.parametrize("allow", ["true", "false"])
@pytest.mark.parametrize("url", UNSAFE_URLS, ids=ascii)
def test_an_unsafe_base_url_is_refused_unseen(line: Line, url: str, allow: str) -> None:
    words = line(account(f"base_url = {quoted(url)}", top=f"allow_http_loopback = {allow}"))
    place, reason = words.split(": base_url: ")
    assert place == "account main"
    assert reason.startswith(("must ", "points ", "has "))
    assert CANARY not in words
    assert "evil" not in words


@pytest.mark.faults(40)
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8700/vpsbg/v1", "https://127.0.0.1", "http://localhost:1", "http://[::1]:8700"]
)
def test_loopback_needs_its_permission(line: Line, write: Callable[[str], Path], url: str) -> None:
    text = f"base_url = {quoted(url)}"
    expected = "points at this computer; set allow_http_loopback to permit that for a sandbox"
    assert line(account(text)) == f"account main: base_url: {expected}"
    assert load(write(account(text, top="allow_http_loopback = true"))).accounts["main"].base_url == url


def test_two_accounts_of_one_name_are_not_toml(line: Line) -> None:
    words = line(account() + account())
    assert words.startswith("not TOML: Cannot declare ('accounts', 'main') twice (at line ")
    assert words.endswith(" (is an account or a key there twice?)")


def test_two_keys_of_one_name_are_not_toml(line: Line) -> None:
    words = line(account(f"team = 'a'\nteam = {CANARY!r}"))
    assert words.startswith("not TOML: Cannot overwrite a value (at line ")
    assert CANARY not in words


NOT_TOML = {
    "bare words": f"{CANARY} {CANARY}",
    "an open string": f'[accounts.main]\napi_key_env = "{CANARY}',
    "an unknown escape": f'team = "{CANARY}\\q"',
    "a control character": f"team = '{CANARY}\x00'",
    "an open table": f"[accounts.{CANARY}",
    "a value without quotes": f"api_key_env = {CANARY}",
    "too many digits": "history_days = " + "9" * 5000,
    "a date that is none": "team = 2026-02-30",
    "a nest": "team = " + "[" * 100_000,
}


@pytest.mark.parametrize("name", NOT_TOML)
def test_what_is_not_toml_is_told_its_place_and_not_its_text(line: Line, name: str) -> None:
    words = line(NOT_TOML[name])
    assert words.startswith("not TOML")
    assert "twice" not in words
    assert CANARY not in words


def test_what_is_not_utf8_is_refused(line: Line) -> None:
    assert line(b'[accounts.main]\nteam = "\xff"\n') == "is not UTF-8: invalid start byte at byte 24"


def test_a_byte_order_mark_is_no_mistake(write: Callable[[bytes], Path]) -> None:
    assert "main" in load(write(b"\xef\xbb\xbf" + account().encode())).accounts


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(UsageError) as refused:
        load(path)
    assert str(refused.value) == f"{path}: no such file; `drawdown init` writes one to start from"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path)
    assert str(refused.value) == f"{tmp_path}: cannot be read: Is a directory; DRAWDOWN_ACCOUNTS names the file"


def test_the_environment_says_which_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DRAWDOWN_ACCOUNTS", raising=False)
    assert accounts_path() == Path("accounts.toml")
    monkeypatch.setenv("DRAWDOWN_ACCOUNTS", str(tmp_path / "mine.toml"))
    with pytest.raises(UsageError, match=r"mine\.toml: no such file"):
        load()


# -- what the variables hold --------------------------------------------------------------------------------------

UNUSABLE = {
    "": "is empty",
    f"{CANARY}\n": "begins or ends with white space or a line break",
    f" {CANARY}": "begins or ends with white space or a line break",
    f"{CANARY}\r\nX-Evil: 1": "holds a control character",
    f"{CANARY}\x7f": "holds a control character",
    f"{CANARY}\N{EURO SIGN}": "holds a character that is not ASCII",
    f"{CANARY}\udcff": "holds a character that is not ASCII",
}


@pytest.mark.faults(39)
@pytest.mark.parametrize("value", UNUSABLE, ids=ascii)
def test_a_key_that_cannot_stand_in_a_header_is_refused_unseen(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    path = write(account())
    found = load(path).accounts["main"]
    with pytest.raises(UsageError) as refused:
        found.secrets()
    assert str(refused.value) == (
        f"{path}: account main: api_key_env: the environment variable {VARIABLE} {UNUSABLE[value]}; "
        "its value is not shown"
    )


def test_a_variable_that_is_not_set_is_named(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    path = write(account())
    with pytest.raises(UsageError) as refused:
        load(path).accounts["main"].secrets()
    assert str(refused.value) == (
        f"{path}: account main: api_key_env: the environment variable {VARIABLE} is not set; export it first"
    )


def test_whom_to_tell_is_a_variable_that_must_hold_something(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(account(top=f'notify_url_env = "{VARIABLE}"'))
    assert load(write(account())).recipients() == {"main": ()}
    assert load(path).recipients() == {"main": (VARIABLE,)}
    monkeypatch.setenv(VARIABLE, f"slack://{CANARY}")
    url = load(path).notify_url(VARIABLE)
    assert (url.reveal(), repr(url)) == (f"slack://{CANARY}", f"Secret({VARIABLE})")
    own = write(account(f'notify_url_env = "{VARIABLE}"'))
    assert load(own).recipients() == {"main": (VARIABLE,)}
    for value, words in (
        (None, f"the environment variable {VARIABLE} is not set; export it first"),
        (f"{CANARY}\n", f"the environment variable {VARIABLE} {UNUSABLE[CANARY + chr(10)]}; its value is not shown"),
    ):
        monkeypatch.delenv(VARIABLE) if value is None else monkeypatch.setenv(VARIABLE, value)
        for file, whose in ((path, ""), (own, "account main: ")):
            with pytest.raises(UsageError) as refused:
                load(file).check_recipients()
            assert str(refused.value) == f"{file}: {whose}notify_url_env: {words}"


# -- anything at all ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "accounts.toml"


TOP_KEYS = [
    "notify_url_env",
    "alerts",
    "notify_url",
    "reporting_currency",
    "allow_http_loopback",
    "accounts",
    "token",
    "colour",
]
KEYS = sorted(
    {"vendor", "base_url", "api_key", "key", "colour", "history_days", "team", "tags", "alert_below_days",
     "alert_below_amount", "topup_lead_days", "topup_minimum_amount", "tax_rate", "path", "notify_url_env", "formerly", "ignore_date_header"}
    | {header.setting for vendor in discover().values() for header in vendor.auth}
    | {key for vendor in discover().values() for key in vendor.settings}
)  # fmt: skip
ANY_TEXT = st.tuples(st.text(max_size=12), st.text(max_size=12)).map(CANARY.join)
URLS = ANY_TEXT.flatmap(
    lambda text: st.sampled_from(
        [f"https://good.com/{text}", f"https://{text}", f"https://x:{text}@good.com", f"http:{text}"]
    )
)
VALUES = st.one_of(
    (ANY_TEXT | URLS | ANY_TEXT.map("~".__add__)).map(quoted),
    ANY_TEXT.map(lambda text: f"[{quoted(text)}]"),
    ANY_TEXT.map(lambda text: f"{{ x = {quoted(text)} }}"),
    ANY_TEXT.map(lambda text: f"[[{quoted(text)}], 1.5]"),
)


def refusal(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8", newline="")
    words = ""
    try:
        load(path)
    except UsageError as refused:
        words = str(refused)
    assert not words or words.startswith(f"{path}: ")
    assert words.isprintable()
    return words


@given(st.sampled_from(list(discover())), st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
@example("vpsbg", {"base_url": quoted(f"https://good.com?key={CANARY}")})
@example("voxpria", {"vendor": f"[{quoted(CANARY)}]"})
def test_no_value_of_any_key_is_shown_or_breaks_more_than_the_settings(
    scratch: Path, vendor: str, values: dict[str, str]
) -> None:
    table = {"vendor": quoted(vendor), "api_key_env": quoted(VARIABLE), "client_id_env": quoted(VARIABLE)} | values
    if vendor in ("vpsbg", "voxpria") and "client_id_env" not in values:
        del table["client_id_env"]
    text = "[accounts.main]\n" + "".join(f"{key} = {value}\n" for key, value in table.items())
    assert CANARY not in refusal(scratch, text)


@given(st.sampled_from(TOP_KEYS), VALUES)
def test_no_value_at_the_top_is_shown(scratch: Path, key: str, value: str) -> None:
    assert CANARY not in refusal(scratch, f"{key} = {value}\n")


@given(st.text(), st.text())
@example("", "\r")
def test_any_text_is_settings_or_one_line(scratch: Path, before: str, after: str) -> None:
    assert CANARY not in refusal(scratch, f"{before}{account(f'team = {json.dumps(CANARY)}')}{after}")
    refusal(scratch, before)
